# SPDX-License-Identifier: Apache-2.0
"""What the mask decoder says, by name."""

from dataclasses import dataclass
from dataclasses import fields

from torch import Tensor

from esam2_ros.core.evidence import Looks


@dataclass(frozen=True)
class Segmentation:
    """What the decoder says of a target on a frame; B is 1, or the targets of a batch.

    logits        mask logits [B, 1, S/4, S/4]; above 0 is the target
    full_logits   the same at model size [B, 1, S, S]
    score         predicted IoU [B]
    object_logit  above 0 when the target is in view [B]
    pointer       object pointer [B, hidden]
    candidates    all masks the decoder chose among [B, M, S/4, S/4]
    candidate_scores  their predicted IoU [B, M]
    looks         where the decoder looked, None where no decoder ran
    """

    logits: Tensor
    full_logits: Tensor
    score: Tensor
    object_logit: Tensor
    pointer: Tensor
    candidates: Tensor
    candidate_scores: Tensor
    looks: Looks | None = None

    def split(self) -> list['Segmentation']:
        """One for each target of a batch; where the decoder looked stays with the batch."""
        names = [each.name for each in fields(self) if each.name != 'looks']
        parts = zip(*(getattr(self, name).split(1) for name in names), strict=True)
        return [Segmentation(*part) for part in parts]


def named_outputs(outputs: tuple[Tensor, ...], looks: Looks | None = None) -> Segmentation:
    """Name what SAM2's heads return, candidates at full size left out.

    The score is that of the mask that was chosen.
    """
    candidates, scores, logits, full_logits, pointer, object_logit = outputs
    return Segmentation(
        logits=logits.float(),
        full_logits=full_logits,
        score=scores.float().amax(dim=-1),
        object_logit=object_logit[:, 0].float(),
        pointer=pointer,
        candidates=candidates,
        candidate_scores=scores.float(),
        looks=looks,
    )
