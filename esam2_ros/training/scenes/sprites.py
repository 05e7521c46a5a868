# SPDX-License-Identifier: Apache-2.0
"""A sprite: a textured outline that can be laid into a frame at any pose."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from esam2_ros.training.scenes.shapes import shape
from esam2_ros.training.scenes.textures import texture
from esam2_ros.training.scenes.values import Pixels

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class Sprite:
    """rgba [S, S, 4] uint8; the object's centre is the middle of the square."""

    rgba: Pixels

    @property
    def side(self) -> int:
        return int(self.rgba.shape[0])


def _shade(rng: np.random.Generator, rgb: Pixels) -> Pixels:
    """Light from one side, as on a curved surface."""
    size = rgb.shape[0]
    angle, depth = rng.uniform(0, 2 * np.pi), rng.uniform(0, 0.45)
    line = np.linspace(-1, 1, size, dtype=np.float32)
    light = 1 + depth / 2 * (line[None] * np.cos(angle) + line[:, None] * np.sin(angle) - 1)
    return np.clip(rgb * light[..., None], 0, 255).astype(np.uint8)


def make_sprite(rng: np.random.Generator, size: int, split: str) -> Sprite:
    """An object of one outline; half of them carry parts or a print in another texture."""
    alpha = shape(rng, size)
    rgb = texture(rng, size, split)
    if rng.random() < 0.5:
        for _ in range(int(rng.integers(1, 4))):
            part = cv2.warpAffine(shape(rng, size), _part_pose(rng, size), (size, size))
            if rng.random() < 0.5:
                part = np.minimum(part, alpha)
            else:
                alpha = np.maximum(alpha, part)
            cv2.copyTo(texture(rng, size, split), part, rgb)
    return Sprite(np.dstack([_shade(rng, rgb), alpha]))


def _part_pose(rng: np.random.Generator, size: int) -> Matrix:
    scale = rng.uniform(0.25, 0.6)
    matrix = cv2.getRotationMatrix2D((size / 2, size / 2), rng.uniform(0, 360), scale)
    matrix[:, 2] += rng.uniform(-0.22, 0.22, 2) * size
    return np.asarray(matrix, np.float64)


def paste(frame: Pixels, sprite: Sprite, pose: Matrix) -> tuple[slice, slice, Pixels] | None:
    """Lay the sprite into `frame` [H, W, 3] in place.

    `pose` [2, 3] maps sprite pixels, measured from its centre, to frame pixels. Returns the
    touched rows and columns and the coverage [h, w] uint8 there; None when out of the frame.
    """
    half = sprite.side / 2
    corners = np.array([[-half, -half], [half, -half], [half, half], [-half, half]])
    placed = corners @ pose[:, :2].T + pose[:, 2]
    x0, y0 = np.maximum(np.floor(placed.min(0)), 0).astype(int)
    x1, y1 = np.minimum(np.ceil(placed.max(0)), frame.shape[1::-1]).astype(int)
    if x1 <= x0 or y1 <= y0:
        return None
    local = pose.copy()
    local[:, 2] += -pose[:, :2] @ (half, half) - (x0, y0)
    shrink = np.sqrt(abs(np.linalg.det(pose[:, :2])))
    rgba = cv2.warpAffine(_reduced(sprite.rgba, shrink, local), local, (x1 - x0, y1 - y0))
    alpha = rgba[..., 3]
    region = frame[y0:y1, x0:x1]
    weight = alpha[..., None].astype(np.uint16)
    mixed = (rgba[..., :3] * weight + region * (255 - weight)) // 255
    region[:] = mixed.astype(np.uint8)
    return slice(y0, y1), slice(x0, x1), alpha


def _reduced(rgba: Pixels, shrink: float, pose: Matrix) -> Pixels:
    """Halve the sprite before a strong reduction, so that it does not alias; `pose` follows."""
    if shrink > 0.6 or min(rgba.shape[:2]) < 16:
        return rgba
    pose[:, :2] *= 2
    return np.asarray(cv2.resize(rgba, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA))
