# SPDX-License-Identifier: Apache-2.0
"""The yardstick of a speed: the `sam2` package's own video predictor, its stages timed."""

import copy
import sys
from collections.abc import Iterator
from collections.abc import Sequence
from contextlib import contextmanager
from contextlib import nullcontext
from contextlib import redirect_stdout
from typing import Any

import torch
from sam2 import sam2_video_predictor
from sam2.modeling.sam2_base import SAM2Base
from sam2.sam2_video_predictor import SAM2VideoPredictor
from sam2.sam2_video_predictor import SAM2VideoPredictorVOS
from torch import Tensor
from torch import nn

from esam2_ros.bench.clock import FrameClock
from esam2_ros.core.prompts import Prompt
from esam2_ros.errors import ConfigError
from esam2_ros.evaluation.stock import NewestFrame
from esam2_ros.evaluation.stock import stock_predictor
from esam2_ros.evaluation.stock import without_files_and_bars

ENDLESS = 1 << 40  # frames the predictor believes the video to have
# Where a tracked frame's time goes, by the predictor's own methods. Preparing the memories
# belongs to memory attention: so it is counted in ours.
_STAGES = {
    'forward_image': 'encode',
    '_prepare_memory_conditioned_features': 'memory_attention',
    '_forward_sam_heads': 'mask_decoder',
    '_encode_new_memory': 'memory_encoder',
}


class StockStream:
    """SAM2VideoPredictor on normalised images, one by one."""

    def __init__(
        self,
        model: SAM2Base,
        memories: int = 7,
        dtype: torch.dtype = torch.float32,
        compiled: bool = False,
        float_memories: bool = False,
    ) -> None:
        """Prepare the predictor on the weights of `model`, which stays as it is.

        `memories`: spatial memories recalled. `compiled`: as sam2's own `vos_optimized` does.
        `float_memories`: memories are not rounded to bfloat16 between frames, as stock does.
        Raises ConfigError where torch.compile does not work.
        """
        self.clock = FrameClock(model.device)
        self._predictor = _compiled(model) if compiled else stock_predictor(model)
        _recall_only(self._predictor, memories)
        for method, stage in _STAGES.items():
            timed = self.clock.wrap(stage, getattr(self._predictor, method))
            setattr(self._predictor, method, timed)
        self._dtype = dtype
        self._float_memories = float_memories
        self._frames = NewestFrame(ENDLESS)
        self._state: dict[str, Any] = {}

    @torch.inference_mode()
    def start(self, image: Tensor, prompts: Sequence[Prompt]) -> None:
        """Take the first image [1, 3, S, S] and the targets' prompts in its pixels."""
        index = self._frames.put(image[0])
        with self._settings():
            self._state = self._predictor.init_state('')
            for target, prompt in enumerate(prompts, start=1):
                self._predictor.add_new_points_or_box(
                    self._state,
                    index,
                    target,
                    points=prompt.points,
                    labels=prompt.point_labels,
                    box=prompt.box,
                )

    @torch.inference_mode()
    def track(self, image: Tensor) -> Tensor:
        """Track all targets on the next image; mask logits [n, S/4, S/4]. The clock times it."""
        index = self._frames.put(image[0])
        with self._settings(), self.clock.frame():
            for _ in self._predictor.propagate_in_video(
                self._state, start_frame_idx=index, max_frame_num_to_track=0
            ):
                pass
        outputs = self._state['output_dict_per_obj'].values()
        newest = [each['non_cond_frame_outputs'][index]['pred_masks'][0, 0] for each in outputs]
        return torch.stack(newest).float()

    @contextmanager
    def _settings(self) -> Iterator[None]:
        side = self._predictor.image_size
        device = self._predictor.device.type
        reduced = self._dtype != torch.float32
        with (
            torch.autocast(device, self._dtype) if reduced else nullcontext(),
            without_files_and_bars(self._frames, side, side),
            _float_memories() if self._float_memories else nullcontext(),
            redirect_stdout(sys.stderr),  # the compiler talks at the first frames
        ):
            yield


def _recall_only(predictor: SAM2VideoPredictor, memories: int) -> None:
    """Make the predictor recall fewer memories, each with the slot embedding it has now."""
    slots = predictor.maskmem_tpos_enc
    kept = torch.cat([slots[: memories - 1], slots[-1:]])  # newest first; the prompt's is last
    # The table of parameters is the model's own until now.
    predictor._parameters = dict(predictor._parameters)
    predictor.maskmem_tpos_enc = nn.Parameter(kept, requires_grad=False)
    predictor.num_maskmem = memories


def _compiled(model: SAM2Base) -> SAM2VideoPredictor:
    check_compiler(model.device)
    # Compiling replaces methods of the parts, so they are copies.
    predictor = stock_predictor(copy.deepcopy(model))
    predictor.__class__ = SAM2VideoPredictorVOS
    encoder = predictor.image_encoder
    encoder.forward = torch.compile(
        encoder.forward, mode='max-autotune', fullgraph=True, dynamic=False
    )
    with redirect_stdout(sys.stderr):
        predictor._compile_all_components()  # it prints
    return predictor


def check_compiler(device: torch.device) -> None:
    """Raise ConfigError, with the reason, where `torch.compile` cannot build for `device`."""

    @torch.compile(fullgraph=True)
    def probe(x: Tensor) -> Tensor:
        return x + 1

    try:
        probe(torch.zeros(1, device=device))
    except Exception as error:  # each missing tool has an exception of its own
        reason = str(error).strip().splitlines()[0]
        raise ConfigError(f'baseline compiled needs torch.compile, which fails: {reason}') from None


class _Float32Torch:
    """Stands for the module `torch` where stock would round to bfloat16."""

    bfloat16 = torch.float32

    def __getattr__(self, name: str) -> Any:
        return getattr(torch, name)


@contextmanager
def _float_memories() -> Iterator[None]:
    own = sam2_video_predictor.torch
    sam2_video_predictor.torch = _Float32Torch()
    try:
        yield
    finally:
        sam2_video_predictor.torch = own
