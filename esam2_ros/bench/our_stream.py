# SPDX-License-Identifier: Apache-2.0
"""Ours on normalised images one by one, its stages told apart as stock's are."""

from collections.abc import Sequence

import torch
from sam2.modeling.sam2_base import SAM2Base
from torch import Tensor

from esam2_ros.bench.clock import FrameClock
from esam2_ros.core.prompts import Prompt
from esam2_ros.policy.config import TrackerConfig
from esam2_ros.policy.results import FrameResult
from esam2_ros.policy.routing import Router
from esam2_ros.policy.tracker import StreamingTracker

# The tracker's own timings are the host's, which on a GPU runs ahead of the work.
_STAGES = {
    'encode': 'encode',
    'encode_again': 'encode',
    'open': 'memory_attention',
    'condition': 'memory_attention',
    'segment': 'mask_decoder',
    'memorise': 'memory_encoder',
}


class OurStream:
    """A StreamingTracker that computes what a router says, and a clock."""

    def __init__(
        self, model: SAM2Base, config: TrackerConfig, router: Router, targets: int = 1
    ) -> None:
        """Track so many targets with `model`, in the mode of `config`."""
        self.clock = FrameClock(model.device)
        self._tracker = StreamingTracker(model, config, router=router)
        self._tracker.warm_up(targets)
        engine = self._tracker._engine
        for method, stage in _STAGES.items():
            setattr(engine, method, self.clock.wrap(stage, getattr(engine, method)))

    def start(self, image: Tensor, prompts: Sequence[Prompt]) -> None:
        """Take the first image [1, 3, S, S] and the targets' prompts in its pixels."""
        self._tracker.step_tensor(image)
        for prompt in prompts:
            self._tracker.add(prompt)

    def track(self, image: Tensor) -> tuple[Tensor, FrameResult]:
        """Track all targets on the next image; mask logits [n, S/4, S/4], and all the rest.

        The clock times the frame.
        """
        with self.clock.frame():
            result = self._tracker.step_tensor(image)
        return torch.stack([target.mask_logits for target in result.targets]), result
