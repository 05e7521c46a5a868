# SPDX-License-Identifier: Apache-2.0
"""Validation on a fixed set of held-out made scenes, through SAM2Base's own track_step."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from sam2.modeling.sam2_base import SAM2Base
from torch import Tensor

from esam2_ros.training.lessons import normalise
from esam2_ros.training.scenes import Clip
from esam2_ros.training.scenes import random_spec
from esam2_ros.training.scenes import render
from esam2_ros.training.teacher import HORIZON
from esam2_ros.training.teacher import set_size

SEED = 20_001
PROMPTS = ('box', 'mask')


@dataclass(frozen=True)
class Marks:
    """Mean IoU at the prompted frame and over the tracked ones, and the two presence errors.

    `false_mask` is the share of frames without the target that got a mask, `missed` the share
    of frames with it that got none.
    """

    prompt_iou: float
    track_iou: float
    false_mask: float
    missed: float


def fixed_clips(count: int, frames: int, size: int) -> list[Clip]:
    """The validation scenes: seeds that training never draws, photographs that it never sees.

    Target 1 is seen on the first frame of each.
    """
    found: list[Clip] = []
    number = 0
    while len(found) < count:
        rng = np.random.default_rng((SEED, number))
        spec = random_spec(rng, (size, size), frames, 'held_out')
        clip = render(spec, int(rng.integers(2**31)))
        if (clip.masks[0] == 1).mean() > 0.005:
            found.append(clip)
        number += 1
    return found


@torch.no_grad()
def track(model: SAM2Base, clip: Clip, prompt: str, device: torch.device) -> Tensor:
    """Mask logits [T, S, S] of target 1, from a 'box', 'click' or 'mask' on frame 0."""
    size = clip.frames.shape[1]
    set_size(model, size)
    images = normalise(torch.from_numpy(clip.frames)).to(device)
    points, mask = _prompt(clip.masks[0] == 1, prompt, device)
    outputs: dict[str, dict[int, Any]] = {'cond_frame_outputs': {}, 'non_cond_frame_outputs': {}}
    logits = []
    for t, image in enumerate(images):
        features = model._prepare_backbone_features(model.forward_image(image[None]))[1:]
        first = t == 0
        out = model.track_step(
            t,
            first,
            *features,
            points if first else None,
            mask if first else None,
            outputs,
            HORIZON,
        )
        outputs['cond_frame_outputs' if first else 'non_cond_frame_outputs'][t] = out
        logits.append(out['pred_masks_high_res'][0, 0])
    return torch.stack(logits)


def _prompt(mask: np.ndarray, prompt: str, device: torch.device) -> tuple[Any, Any]:
    if prompt == 'mask':
        return None, torch.from_numpy(mask)[None, None].float().to(device)
    ys, xs = np.nonzero(mask)
    if prompt == 'box':
        coords = [[xs.min(), ys.min()], [xs.max() + 1, ys.max() + 1]]
        labels = [2, 3]
    else:
        near = np.argmin((xs - np.median(xs)) ** 2 + (ys - np.median(ys)) ** 2)
        coords, labels = [[xs[near] + 0.5, ys[near] + 0.5]], [1]
    points = {
        'point_coords': torch.tensor(np.array([coords]), dtype=torch.float32, device=device),
        'point_labels': torch.tensor([labels], dtype=torch.int32, device=device),
    }
    return points, None


def score(logits: Tensor, truth: np.ndarray) -> np.ndarray:
    """IoU of each frame, 1 where both are empty: [T, S, S] logits and bool truth -> [T]."""
    mine = (logits > 0).cpu().numpy()
    either = (mine | truth).sum((1, 2))
    both = (mine & truth).sum((1, 2))
    return np.where(either > 0, both / np.maximum(either, 1), 1.0)


def validate(
    model: SAM2Base, clips: list[Clip], device: torch.device, prompts: tuple[str, ...] = PROMPTS
) -> dict[str, Marks]:
    """Marks for each kind of prompt; the model is left in the mode it was in."""
    training = model.training
    model.eval()
    marks = {}
    for prompt in prompts:
        first, later, ghosts, gaps = [], [], [], []
        for clip in clips:
            logits = track(model, clip, prompt, device)
            truth = clip.masks == 1
            ious = score(logits, truth)
            first.append(ious[0])
            later.append(ious[1:].mean())
            empty = (logits <= 0).flatten(1).all(1).cpu().numpy()[1:]
            present = truth.any((1, 2))[1:]
            ghosts.extend(~empty[~present])
            gaps.extend(empty[present])
        marks[prompt] = Marks(
            *(float(np.mean(x)) if x else 0.0 for x in (first, later, ghosts, gaps))
        )
    model.train(training)
    return marks
