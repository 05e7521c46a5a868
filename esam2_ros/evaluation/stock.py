# SPDX-License-Identifier: Apache-2.0
"""The yardstick: the `sam2` package's own video predictor, fed frame by frame."""

import copy
from collections.abc import Iterator
from collections.abc import Mapping
from contextlib import AbstractContextManager
from contextlib import contextmanager
from contextlib import nullcontext
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sam2 import sam2_video_predictor
from sam2.modeling.sam2_base import SAM2Base
from sam2.sam2_video_predictor import SAM2VideoPredictor
from torch import Tensor

from esam2_ros.core.images import Normaliser
from esam2_ros.core.images import resize_to_square
from esam2_ros.core.prompts import Prompt
from esam2_ros.evaluation.segmenter import Segmentation
from esam2_ros.evaluation.segmenter import merge


def stock_predictor(model: SAM2Base) -> SAM2VideoPredictor:
    """The stock video predictor on the very weights of `model`, with its own default settings."""
    predictor = copy.copy(model)
    predictor.__class__ = SAM2VideoPredictor
    predictor.fill_hole_area = 0
    predictor.non_overlap_masks = False
    predictor.clear_non_cond_mem_around_input = False
    predictor.add_all_frames_to_correct_as_cond = False
    return predictor


class NewestFrame:
    """Stands for the list of all frames, of which the predictor only ever reads the newest."""

    def __init__(self, length: int) -> None:
        self._length = length
        self._index = -1
        self._image: Tensor | None = None

    def put(self, image: Tensor) -> int:
        self._index += 1
        self._image = image
        return self._index

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: int) -> Tensor:
        if index != self._index or self._image is None:
            raise IndexError(f'frame {index} was asked for, frame {self._index} is at hand')
        return self._image


class StockSegmenter:
    """SAM2VideoPredictor on a clip, without files and without a look ahead."""

    def __init__(self, model: SAM2Base, frames: int, dtype: torch.dtype | None = None) -> None:
        """Prepare for a clip of `frames` frames; `dtype` None is float32."""
        self._predictor = stock_predictor(model)
        self._normalise = Normaliser(model.device)
        self._dtype = dtype
        self._frames = NewestFrame(frames)
        self._state: dict[str, Any] = {}

    @torch.inference_mode()
    def step(self, image: NDArray[np.uint8], prompts: Mapping[int, Prompt]) -> Segmentation:
        """Segment the next image; see Segmenter."""
        height, width = image.shape[:2]
        pixels = resize_to_square(image, self._predictor.image_size)
        index = self._frames.put(self._normalise(pixels)[0])
        with self._precision(), without_files_and_bars(self._frames, height, width):
            if not self._state:
                self._state = self._predictor.init_state('')
            for target, prompt in prompts.items():
                self._add(index, target, prompt)
            if not self._state['obj_ids']:
                return Segmentation(np.zeros((height, width), np.uint8))
            ((_, ids, logits),) = self._predictor.propagate_in_video(
                self._state, start_frame_idx=index, max_frame_num_to_track=0
            )
        return Segmentation(merge(ids, logits[:, 0], (width, height)))

    def _add(self, index: int, target: int, prompt: Prompt) -> None:
        if prompt.mask is not None:
            self._predictor.add_new_mask(self._state, index, target, prompt.mask)
            return
        self._predictor.add_new_points_or_box(
            self._state,
            index,
            target,
            points=prompt.points,
            labels=prompt.point_labels,
            box=prompt.box,
        )

    def _precision(self) -> AbstractContextManager[None]:
        if self._dtype in (None, torch.float32):
            return nullcontext()
        return torch.autocast(self._predictor.device.type, self._dtype)


@contextmanager
def without_files_and_bars(frames: NewestFrame, height: int, width: int) -> Iterator[None]:
    # The predictor's arithmetic stays its own; only its file reader and its bar are replaced.
    own = (sam2_video_predictor.load_video_frames, sam2_video_predictor.tqdm)
    sam2_video_predictor.load_video_frames = lambda **_: (frames, height, width)
    sam2_video_predictor.tqdm = lambda order, **_: order
    try:
        yield
    finally:
        sam2_video_predictor.load_video_frames, sam2_video_predictor.tqdm = own
