# SPDX-License-Identifier: Apache-2.0
"""SAM2 as three steps on one frame: encode the image, segment a target, write its memory."""

from contextlib import AbstractContextManager
from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from sam2.modeling.sam2_base import SAM2Base
from torch import Tensor
from torch.nn import functional

from esam2_ros.core.conditioning import Conditioner
from esam2_ros.core.images import Normaliser
from esam2_ros.core.memory import MemoryBank
from esam2_ros.core.memory import MemoryShape
from esam2_ros.core.memory import Recall
from esam2_ros.core.plan import WindowGrid
from esam2_ros.core.prompts import Prompt
from esam2_ros.core.prompts import mask_input
from esam2_ros.core.prompts import point_inputs
from esam2_ros.errors import ConfigError

_LOGIT_BOUND = 32.0  # stock clamps a mask that goes back into the decoder


@dataclass(frozen=True)
class Features:
    """An encoded frame.

    embedding  [1, hidden, S/16, S/16]
    skips      maps for the decoder: [1, hidden/8, S/4, S/4] and [1, hidden/4, S/8, S/8]
    """

    embedding: Tensor
    skips: tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Segmentation:
    """What the decoder says of one target on one frame.

    logits        mask logits [1, 1, S/4, S/4]; above 0 is the target
    full_logits   the same at model size [1, 1, S, S]
    score         predicted IoU [1]
    object_logit  above 0 when the target is in view [1]
    pointer       object pointer [1, hidden]
    """

    logits: Tensor
    full_logits: Tensor
    score: Tensor
    object_logit: Tensor
    pointer: Tensor


class Engine:
    """The frame path of one model; holds constant tables and no state of any target."""

    def __init__(
        self,
        model: SAM2Base,
        prompt_slots: int = 4,
        memory_frames: int = 7,
        dtype: torch.dtype | None = None,
    ) -> None:
        """Prepare `model` for frames.

        `prompt_slots`: prompt memories a target may keep. `memory_frames`: prompt and recent
        frames together, at most the model's own 7. `dtype` of the arithmetic: None is float32
        on the CPU and bfloat16 elsewhere. Raises ConfigError for values out of range.
        """
        if not 1 <= memory_frames <= model.num_maskmem:
            raise ConfigError(
                f'memory frames is {memory_frames}; allowed: 1 to {model.num_maskmem}'
            )
        self.model = model.eval()
        self.device = model.device
        self.image_size: int = model.image_size
        self.dtype = dtype or (torch.float32 if self.device.type == 'cpu' else torch.bfloat16)
        side = self.image_size // 16
        self._shape = MemoryShape(
            prompt_slots=prompt_slots,
            recent_frames=memory_frames - 1,
            pointer_frames=model.max_obj_ptrs_in_encoder - 1,
            tokens=side * side,
            channels=model.mem_dim,
            pointer_channels=model.hidden_dim,
        )
        self.normalise = Normaliser(self.device)
        with torch.inference_mode():
            self.conditioner = Conditioner(model, self._shape, self.device)
        window = model.image_encoder.trunk.window_spec[2]
        windows = -(-side // window)
        self.grid = WindowGrid(windows, windows, 16 * window)

    def new_bank(self) -> MemoryBank:
        """An empty memory bank for one target."""
        # Plain tensors: they outlive the call and may be written from anywhere.
        with torch.inference_mode(False):
            return MemoryBank(self._shape, self.device, self.dtype)

    def precision(self) -> AbstractContextManager[None]:
        """The arithmetic's precision as a context."""
        if self.dtype == torch.float32:
            return nullcontext()
        return torch.autocast(self.device.type, self.dtype)

    def encode(self, image: Tensor) -> Features:
        """Encode a normalised image [1, 3, S, S]."""
        levels = self.model.forward_image(image)['backbone_fpn']
        fine, middle, embedding = levels[-3:]
        return Features(embedding, (fine, middle))

    def segment_first(
        self, features: Features, prompt: Prompt, size: tuple[int, int]
    ) -> Segmentation:
        """A target's first prompt, without memory. `size`: width, height of the prompt's image."""
        if prompt.mask is not None:
            return self._take_mask(features, prompt.mask)
        conditioned = self.conditioner.without_memory(features.embedding)
        points = point_inputs(prompt, *size, self.image_size)
        return self._decode(features, conditioned, first=True, points=points)

    def segment_again(
        self,
        features: Features,
        prompt: Prompt,
        size: tuple[int, int],
        bank: MemoryBank,
        frame: int,
        previous: Segmentation | None,
    ) -> Segmentation:
        """A correction on frame `frame`, where `previous` was the target's mask so far."""
        if prompt.mask is not None:
            return self._take_mask(features, prompt.mask)
        recall = bank.recall(frame)
        first = not recall.frames
        if first:
            conditioned = self.conditioner.without_memory(features.embedding)
        else:
            conditioned = self.conditioner(features.embedding, bank, recall)
        mask = None
        if previous is not None:
            mask = previous.logits.clamp(-_LOGIT_BOUND, _LOGIT_BOUND)
        points = point_inputs(prompt, *size, self.image_size)
        return self._decode(features, conditioned, first=first, points=points, mask=mask)

    def condition(self, features: Features, bank: MemoryBank, recall: Recall) -> Tensor:
        """The embedding conditioned on what the bank recalls: [1, hidden, S/16, S/16]."""
        return self.conditioner(features.embedding, bank, recall)

    def segment(self, features: Features, conditioned: Tensor) -> Segmentation:
        """Segment a tracked target: no prompt, only its conditioned embedding."""
        return self._decode(features, conditioned, first=False)

    def memorise(
        self, features: Features, segmentation: Segmentation, bank: MemoryBank, frame: int
    ) -> None:
        """Write a tracked frame to the bank."""
        memory = self._encode_memory(features, segmentation, segmentation.full_logits, False)
        bank.write_recent(frame, memory, segmentation.pointer[0])

    def memorise_prompt(
        self, features: Features, segmentation: Segmentation, bank: MemoryBank, frame: int
    ) -> None:
        """Write a prompted frame to the bank's prompt memories."""
        memory = self._encode_prompted(features, segmentation)
        bank.write_prompt(frame, memory, segmentation.pointer[0])

    def memorise_correction(
        self, features: Features, segmentation: Segmentation, bank: MemoryBank, frame: int
    ) -> None:
        """Write a prompted frame to the bank as a recent memory: SAM2's default for corrections."""
        memory = self._encode_prompted(features, segmentation)
        bank.write_recent(frame, memory, segmentation.pointer[0])

    def _encode_prompted(self, features: Features, segmentation: Segmentation) -> Tensor:
        # Resized from the small logits, not `full_logits`: so stock does once clicks are final.
        side = self.image_size
        full = functional.interpolate(
            segmentation.logits, (side, side), mode='bilinear', align_corners=False
        )
        return self._encode_memory(features, segmentation, full, True)

    def _take_mask(self, features: Features, drawn: NDArray[np.bool_]) -> Segmentation:
        mask = mask_input(drawn, self.image_size).to(self.device)
        outputs = self.model._use_mask_as_output(features.embedding, list(features.skips), mask)
        return _segmentation(outputs)

    def _decode(
        self,
        features: Features,
        conditioned: Tensor,
        first: bool,
        points: tuple[Tensor, Tensor] | None = None,
        mask: Tensor | None = None,
    ) -> Segmentation:
        inputs = None
        if points is not None:
            coordinates, labels = (each.to(self.device) for each in points)
            inputs = {'point_coords': coordinates, 'point_labels': labels}
        outputs = self.model._forward_sam_heads(
            backbone_features=conditioned,
            point_inputs=inputs,
            mask_inputs=mask,
            high_res_features=list(features.skips),
            multimask_output=self.model._use_multimask(first, inputs),
        )
        return _segmentation(outputs)

    def _encode_memory(
        self, features: Features, segmentation: Segmentation, full: Tensor, prompted: bool
    ) -> Tensor:
        tokens = features.embedding.flatten(2).permute(2, 0, 1)  # [tokens, 1, hidden]
        side = self.image_size // 16
        memory: Tensor = self.model._encode_new_memory(
            [tokens], [(side, side)], full, segmentation.object_logit[:, None], prompted
        )[0]
        return memory[0].flatten(1).T  # [tokens, channels]


def _segmentation(outputs: tuple[Tensor, ...]) -> Segmentation:
    """Name what SAM2's heads return; the score is that of the mask that was chosen."""
    _, _, scores, logits, full_logits, pointer, object_logit = outputs
    return Segmentation(
        logits=logits.float(),
        full_logits=full_logits,
        score=scores.float().amax(dim=-1),
        object_logit=object_logit[:, 0].float(),
        pointer=pointer,
    )
