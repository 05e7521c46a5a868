# SPDX-License-Identifier: Apache-2.0
"""Lessons: scenes turned into tensors, targets chosen and prompts drawn on the first frame."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from esam2_ros.training.config import Shape
from esam2_ros.training.scenes import Clip
from esam2_ros.training.scenes import random_spec
from esam2_ros.training.scenes import render

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
# Targets are out of sight in about one frame of ten of a random scene: too rarely to teach the
# object score.
ABSENT = 2.5
SMALLEST = 0.004  # of the frame: smaller targets are not prompted


@dataclass(frozen=True)
class Lesson:
    """One step's material: N clips of T frames, B targets in total.

    images [N * T, 3, S, S] normalised, clip-major; owner [B] the clip of each target;
    instances [N * T, S, S] uint8 ids;
    truth [T, B, S, S] bool; boxes [B, 4] and clicks [B, 2] in pixels of frame 0; with `frozen`
    the image encoder runs without gradients.
    """

    images: Tensor
    instances: Tensor
    owner: Tensor
    truth: Tensor
    boxes: Tensor
    clicks: Tensor
    frames: int
    frozen: bool = False


def normalise(frames: Tensor) -> Tensor:
    """[T, H, W, 3] uint8 -> [T, 3, H, W] float32 with SAM 2's mean and deviation."""
    images = frames.permute(0, 3, 1, 2).float() / 255
    mean = images.new_tensor(MEAN)[:, None, None]
    return (images - mean) / images.new_tensor(STD)[:, None, None]


def choose_targets(rng: np.random.Generator, clip: Clip, count: int) -> list[int]:
    """`count` ids seen in frame 0, target 1 first, repeated when there are not enough."""
    ids, areas = np.unique(clip.masks[0], return_counts=True)
    big = areas >= SMALLEST * clip.masks[0].size
    seen = [int(i) for i in ids[big] if i]
    if not seen:
        return []
    rng.shuffle(seen)
    seen.sort(key=lambda ident: ident != 1)
    return [seen[n % len(seen)] for n in range(count)]


def loose_box(rng: np.random.Generator, mask: np.ndarray, slack: float = 0.08) -> list[float]:
    """The mask's box with every side moved by up to `slack` of its length."""
    ys, xs = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    box = np.array([xs[0], ys[0], xs[-1] + 1, ys[-1] + 1], float)
    span = np.array([box[2] - box[0], box[3] - box[1]] * 2)
    box += rng.normal(0, slack / 2, 4) * span
    limit = np.array(mask.shape[::-1] * 2)
    return np.clip(box, 0, limit).tolist()


def inner_click(rng: np.random.Generator, mask: np.ndarray) -> list[float]:
    """A random pixel of the mask, centre of the pixel."""
    ys, xs = np.nonzero(mask)
    pick = rng.integers(len(ys))
    return [float(xs[pick]) + 0.5, float(ys[pick]) + 0.5]


def make_lesson(shape: Shape, seed: int, step: int) -> Lesson:
    """The material of one step; the same arguments give the same lesson."""
    rng = np.random.default_rng((seed, step))
    size = (shape.size, shape.size)
    images, instances, owner, truth, boxes, clicks = [], [], [], [], [], []
    while len(images) < shape.clips:
        spec = random_spec(rng, size, shape.frames, absent=ABSENT)
        clip = render(spec, int(rng.integers(2**31)))
        targets = choose_targets(rng, clip, shape.targets)
        for ident in targets:
            masks = clip.masks == ident
            owner.append(len(images))
            truth.append(torch.from_numpy(masks))
            boxes.append(loose_box(rng, masks[0]))
            clicks.append(inner_click(rng, masks[0]))
        if targets:
            images.append(torch.from_numpy(clip.frames))
            instances.append(torch.from_numpy(clip.masks))
    return Lesson(
        normalise(torch.cat(images)),
        torch.cat(instances),
        torch.tensor(owner),
        torch.stack(truth, dim=1),
        torch.tensor(boxes),
        torch.tensor(clicks),
        shape.frames,
        shape.frozen,
    )


def to_device(lesson: Lesson, device: torch.device) -> Lesson:
    """The same lesson on `device`."""
    names = ('images', 'instances', 'owner', 'truth', 'boxes', 'clicks')
    return Lesson(
        *(getattr(lesson, name).to(device) for name in names), lesson.frames, lesson.frozen
    )


def at_stride(truth: Tensor, stride: int = 4) -> Tensor:
    """[B, S, S] bool -> [B, S / stride, S / stride] float coverage."""
    return functional.avg_pool2d(truth[:, None].float(), stride)[:, 0]
