# SPDX-License-Identifier: Apache-2.0
"""What the host reads of a frame: gathered on the device, brought over in one piece."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from esam2_ros.core.segmentation import Segmentation
from esam2_ros.core.transfer import to_host


class Clues(NamedTuple):
    """What a batch of B targets shows beside its masks, still on the device.

    touched   windows that the candidate masks touch [B, windows] bool, or [B, 0]
    saliency  share of the decoder's attention to each window [B, windows], or [B, 0]
    rivalry   how much another candidate differs from the chosen one [B]
    """

    touched: Tensor
    saliency: Tensor
    rivalry: Tensor

    @classmethod
    def none(cls, segmentation: Segmentation) -> 'Clues':
        """Those of a batch that nobody asks about."""
        rivalry = torch.zeros_like(segmentation.object_logit)
        empty = rivalry[:, None][:, :0]
        return cls(empty.bool(), empty, rivalry)


@dataclass(frozen=True, eq=False)
class Readout:
    """What a frame shows of one target, on the host.

    logits        mask logits [S/4, S/4], on the device
    mask          [height, width] bool
    drawn         the same as the model drew it [S/4, S/4] bool
    score         predicted IoU
    object_logit  above 0 when the target is in view
    touched       windows that its candidate masks touch
    saliency      share of the decoder's attention to each window, None where it was not needed
    rivalry       how much another candidate differs from the chosen one
    """

    logits: Tensor
    mask: NDArray[np.bool_]
    drawn: NDArray[np.bool_]
    score: float
    object_logit: float
    touched: tuple[int, ...]
    saliency: tuple[float, ...] | None
    rivalry: float


def read_out(
    segmentations: Sequence[Segmentation], clues: Sequence[Clues], size: tuple[int, int]
) -> list[Readout]:
    """Read targets, a segmentation each, in one transfer and one wait for all of them.

    `clues`: those of the same targets, batch after batch. `size`: width, height in pixels of the
    image that masks are brought to.
    """
    if not segmentations:
        return []
    width, height = size
    logits = torch.cat([each.logits for each in segmentations])  # [n, 1, S/4, S/4]
    full = functional.interpolate(logits, (height, width), mode='bilinear', align_corners=False)
    masks, drawn, scores, object_logits, *rest = to_host(
        [
            full[:, 0] > 0,
            logits[:, 0] > 0,
            torch.cat([each.score for each in segmentations]),
            torch.cat([each.object_logit for each in segmentations]),
            *chain.from_iterable(clues),
        ]
    )
    batches = [Clues(*rest[at : at + 3]) for at in range(0, len(rest), 3)]
    rows = zip(
        logits[:, 0],
        masks.numpy(),
        drawn.numpy(),
        scores.tolist(),
        object_logits.tolist(),
        [tuple(row.nonzero()[0].tolist()) for each in batches for row in each.touched.numpy()],
        [tuple(row) or None for each in batches for row in each.saliency.tolist()],
        [value for each in batches for value in each.rivalry.tolist()],
        strict=True,
    )
    return [Readout(*row) for row in rows]
