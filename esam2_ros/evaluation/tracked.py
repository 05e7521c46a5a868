# SPDX-License-Identifier: Apache-2.0
"""The product on a clip: StreamingTracker behind the Segmenter protocol."""

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from sam2.modeling.sam2_base import SAM2Base

from esam2_ros.core.prompts import Prompt
from esam2_ros.core.shortcut import Shortcut
from esam2_ros.evaluation.segmenter import LabelMap
from esam2_ros.evaluation.segmenter import Segmentation
from esam2_ros.evaluation.segmenter import merge
from esam2_ros.policy.config import TrackerConfig
from esam2_ros.policy.monitor.monitor import SceneMonitor
from esam2_ros.policy.results import FrameResult
from esam2_ros.policy.tracker import StreamingTracker


class TrackedSegmenter:
    """A StreamingTracker fed with one clip; the clip's ids are kept beside the tracker's own."""

    def __init__(
        self,
        model: SAM2Base,
        config: TrackerConfig,
        shortcut: Shortcut | None = None,
        monitor: SceneMonitor | None = None,
    ) -> None:
        """Start a fresh tracker; `monitor` None is the one that `config` asks for."""
        self._tracker = StreamingTracker(model, config, shortcut=shortcut, monitor=monitor)
        self._clip_id: dict[int, int] = {}  # tracker id -> id in the clip's masks

    def step(self, image: NDArray[np.uint8], prompts: Mapping[int, Prompt]) -> Segmentation:
        """Segment the next image; see Segmenter."""
        result = self._tracker.step(image)
        for clip_id, prompt in prompts.items():
            self._clip_id[self._tracker.add(prompt)] = clip_id
        result = self._tracker.result or result
        grid, tokens = result.plan.grid, len(result.targets) * result.plan.grid.tokens
        return Segmentation(
            self._labels(result),
            active=len(result.plan.active) / grid.count,
            queries=result.memory.queries / tokens if tokens else None,
            result=result,
        )

    def _labels(self, result: FrameResult) -> LabelMap:
        ids = [self._clip_id[target.id] for target in result.targets]
        if len(ids) == 1:
            return result.targets[0].mask.astype(np.uint8) * np.uint8(ids[0])
        logits = [target.mask_logits for target in result.targets]
        return merge(ids, torch.stack(logits) if logits else torch.empty(0), result.image_size)
