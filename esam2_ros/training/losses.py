# SPDX-License-Identifier: Apache-2.0
"""Losses of the mask decoder's four masks, its predicted IoU and the object score."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

OTHERS = 0.1  # weight of the two masks of three that did not win, so that none dies


@dataclass(frozen=True)
class Marks:
    """Losses of one decoder call, each a scalar, and the IoU of the mask that was chosen."""

    total: Tensor
    mask: Tensor
    score: Tensor
    iou: Tensor


def mask_losses(logits: Tensor, truth: Tensor) -> Tensor:
    """Balanced BCE + dice for each mask: logits [B, M, h, w], truth [B, h, w] -> [B, M].

    The mean over the object's pixels counts half and the mean over the background's whole: a
    plain mean lets small objects vanish and the masks collapse to empty.
    """
    goal = truth[:, None]
    each = functional.binary_cross_entropy_with_logits(
        logits, goal.expand_as(logits), reduction='none'
    )
    on = (each * goal).sum((2, 3)) / goal.sum((2, 3)).clamp(min=1)
    off = (each * (1 - goal)).sum((2, 3)) / (1 - goal).sum((2, 3)).clamp(min=1)
    part = logits.sigmoid()
    overlap = (part * goal).sum((2, 3))
    dice = 1 - (2 * overlap + 1) / (part.sum((2, 3)) + goal.sum((2, 3)) + 1)
    return 0.5 * on + off + dice


@torch.no_grad()
def true_iou(logits: Tensor, truth: Tensor) -> Tensor:
    """IoU of each mask at its own resolution: [B, M, h, w], [B, h, w] -> [B, M]."""
    mine, goal = logits > 0, (truth > 0.5)[:, None]
    either = (mine | goal).sum((2, 3))
    return torch.where(either > 0, (mine & goal).sum((2, 3)) / either.clamp(min=1), 1.0)


def grade(masks: Tensor, ious: Tensor, score: Tensor, truth: Tensor, multi: bool) -> Marks:
    """Grade one call: masks [B, 4, h, w], ious [B, 4], score [B, 1], truth [B, h, w].

    Mask 0 is the single-mask output; the best of masks 1..3 is taught as SAM does. Absent
    targets only teach the object score. `multi` says which of them inference would have used.
    """
    present = truth.flatten(1).any(1).float()
    count = present.sum().clamp(min=1)
    each = mask_losses(masks.float(), truth)
    best = each[:, 1:].min(dim=1).values
    chosen = each[:, 0] + best + OTHERS * each[:, 1:].mean(dim=1)
    mask = (chosen * present).sum() / count
    actual = true_iou(masks, truth)
    gap = (ious.float() - actual).abs().mean(dim=1)
    score_loss = functional.binary_cross_entropy_with_logits(score.float()[:, 0], present)
    total = mask + (gap * present).sum() / count + score_loss
    pick = 1 + ious[:, 1:].argmax(dim=1) if multi else torch.zeros_like(present).long()
    used = actual.gather(1, pick[:, None])[:, 0]
    return Marks(total, mask.detach(), score_loss.detach(), (used * present).sum() / count)
