# SPDX-License-Identifier: Apache-2.0
"""SAM2 on a prompted frame: segment what the prompt shows, and remember it."""

from collections.abc import Callable
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sam2.modeling.sam2_base import SAM2Base
from torch import Tensor
from torch.nn import functional

from esam2_ros.core.conditioning import Memories
from esam2_ros.core.encoder import Features
from esam2_ros.core.heads import Heads
from esam2_ros.core.memory import MemoryBank
from esam2_ros.core.prompts import Prompt
from esam2_ros.core.prompts import mask_input
from esam2_ros.core.prompts import point_inputs
from esam2_ros.core.segmentation import Segmentation
from esam2_ros.core.segmentation import named_outputs
from esam2_ros.core.transfer import to_device

_LOGIT_BOUND = 32.0  # stock clamps a mask that goes back into the decoder

# An embedding [1, hidden, h, w] conditioned on what each target remembers: [targets, hidden, h, w].
Condition = Callable[[Tensor, Sequence[Memories]], Tensor]


class Prompting:
    """Takes one target's prompts; `size` is the width and height of the prompt's image."""

    def __init__(self, model: SAM2Base, heads: Heads, condition: Condition) -> None:
        """Use the model's own modules."""
        self._model = model
        self._heads = heads
        self._condition = condition
        self._side: int = model.image_size

    def segment_first(
        self, features: Features, prompt: Prompt, size: tuple[int, int]
    ) -> Segmentation:
        """A target's first prompt, without memory."""
        if prompt.mask is not None:
            return self._take_mask(features, prompt.mask)
        conditioned = self._without_memory(features.embedding)
        points = point_inputs(prompt, *size, self._side)
        return self._decode(features, conditioned, points, first=True)

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
            conditioned = self._without_memory(features.embedding)
        else:
            conditioned = self._condition(features.embedding, [Memories(bank, recall, frame)])
        mask = None
        if previous is not None:
            mask = previous.logits.clamp(-_LOGIT_BOUND, _LOGIT_BOUND)
        points = point_inputs(prompt, *size, self._side)
        return self._decode(features, conditioned, points, first=first, mask=mask)

    def memorise(
        self, features: Features, segmentation: Segmentation, bank: MemoryBank, frame: int
    ) -> None:
        """Write a prompted frame to the bank's prompt memories."""
        (memory,) = self._encode(features, segmentation)
        bank.write_prompt(frame, memory, segmentation.pointer[0])

    def memorise_correction(
        self, features: Features, segmentation: Segmentation, bank: MemoryBank, frame: int
    ) -> None:
        """Write a prompted frame to the bank as a recent memory: SAM2's default for corrections."""
        (memory,) = self._encode(features, segmentation)
        bank.write_recent(frame, memory, segmentation.pointer[0])

    def _encode(self, features: Features, segmentation: Segmentation) -> Tensor:
        # Resized from the small logits, not `full_logits`: so stock does once clicks are final.
        full = functional.interpolate(
            segmentation.logits, (self._side, self._side), mode='bilinear', align_corners=False
        )
        return self._heads.prompted_memory(features, full, segmentation.object_logit)

    def _without_memory(self, embedding: Tensor) -> Tensor:
        token: Tensor = self._model.no_mem_embed  # [1, 1, hidden]
        return embedding + token.permute(1, 2, 0)[..., None]

    def _take_mask(self, features: Features, drawn: NDArray[np.bool_]) -> Segmentation:
        mask = to_device(mask_input(drawn, self._side), features.embedding.device)
        candidates, _, *rest = self._model._use_mask_as_output(
            features.embedding, list(features.skips), mask
        )
        return named_outputs((candidates, *rest))

    def _decode(
        self,
        features: Features,
        conditioned: Tensor,
        points: tuple[Tensor, Tensor],
        first: bool,
        mask: Tensor | None = None,
    ) -> Segmentation:
        coordinates, labels = (to_device(each, conditioned.device) for each in points)
        inputs = {'point_coords': coordinates, 'point_labels': labels}
        candidates, _, *rest = self._model._forward_sam_heads(
            backbone_features=conditioned,
            point_inputs=inputs,
            mask_inputs=mask,
            high_res_features=list(features.skips),
            multimask_output=self._model._use_multimask(first, inputs),
        )
        return named_outputs((candidates, *rest))
