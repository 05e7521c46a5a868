# SPDX-License-Identifier: Apache-2.0
"""A stage: a background, the actors before it and the camera; renders any frame of its time."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from esam2_ros.training.scenes.motion import Camera
from esam2_ros.training.scenes.motion import Path
from esam2_ros.training.scenes.motion import Wave
from esam2_ros.training.scenes.motion import apply
from esam2_ros.training.scenes.motion import random_path
from esam2_ros.training.scenes.sprites import Sprite
from esam2_ros.training.scenes.sprites import make_sprite
from esam2_ros.training.scenes.sprites import paste
from esam2_ros.training.scenes.textures import texture
from esam2_ros.training.scenes.values import Pixels

MARGIN = 0.25  # of the width: how far the background reaches beyond the frame
COVERED = 127  # coverage above which a pixel belongs to the object


@dataclass(frozen=True)
class Limb:
    """A part that swings about a point of its owner; `joint` in owner sprite pixels."""

    sprite: Sprite
    joint: NDArray[np.float64]
    swing: Wave


@dataclass(frozen=True)
class Actor:
    """One instance; actors later in a stage's list stand before earlier ones."""

    ident: int
    sprite: Sprite
    path: Path
    limb: Limb | None = None

    def layers(self, t: float, scale: float) -> list[tuple[Sprite, NDArray[np.float64]]]:
        """The sprites and their world poses at `t`, back to front."""
        pose = self.path.pose(t, scale)
        if self.limb is None:
            return [(self.sprite, pose)]
        angle = float(self.limb.swing.at(t)[0])
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        reach = turn @ np.array([self.limb.sprite.side * 0.35, 0.0])
        part = np.hstack([turn, (self.limb.joint + reach)[:, None]])
        return [(self.limb.sprite, apply(pose, part)), (self.sprite, pose)]


@dataclass(frozen=True)
class Stage:
    """background [H', W', 3] with its margin, actors back to front, and a camera."""

    background: Pixels
    actors: tuple[Actor, ...]
    camera: Camera

    def render(self, t: float, width: int, height: int) -> tuple[Pixels, Pixels, dict[int, int]]:
        """Frame [H, W, 3], ids [H, W], and each instance's own in-frame area in pixels."""
        view = self.camera.view(t, width, height)
        border = round(MARGIN * width)
        ground = apply(view, np.array([[1.0, 0, -border], [0, 1.0, -border]]))
        frame = cv2.warpAffine(
            self.background, ground, (width, height), borderMode=cv2.BORDER_REFLECT_101
        )
        ids = np.zeros((height, width), np.uint8)
        areas: dict[int, int] = {}
        for actor in self.actors:
            areas[actor.ident] = 0
            for sprite, pose in actor.layers(t, width):
                touched = paste(frame, sprite, apply(view, pose))
                if touched is None:
                    continue
                rows, columns, alpha = touched
                solid = alpha > COVERED
                ids[rows, columns][solid] = actor.ident
                areas[actor.ident] += int(np.count_nonzero(solid))
        return frame, ids, areas


def make_background(
    rng: np.random.Generator, width: int, height: int, clutter: int, split: str
) -> Pixels:
    """A surface with `clutter` unlabelled things painted on it, with a margin on every side."""
    border = round(MARGIN * width)
    size = (width + 2 * border, height + 2 * border)
    ground = texture(rng, min(max(size), 480), split)
    ground = np.ascontiguousarray(cv2.resize(ground, size, interpolation=cv2.INTER_LINEAR))
    if rng.random() < 0.4:  # a wall or a horizon
        level = int(rng.uniform(0.25, 0.75) * size[1])
        wall = texture(rng, min(max(size), 480), split)
        ground[:level] = cv2.resize(wall, size, interpolation=cv2.INTER_LINEAR)[:level]
    for _ in range(clutter):
        sprite = make_sprite(rng, max(8, int(width * rng.uniform(0.08, 0.5))), split)
        place = (rng.uniform(0, size[0]) / width, rng.uniform(0, size[1]) / width)
        paste(ground, sprite, random_path(rng, place, 0.0).pose(0, width))
    if rng.random() < 0.4:
        ground = cv2.GaussianBlur(ground, (0, 0), rng.uniform(0.5, width / 80))
    return np.asarray(ground, np.uint8)


def make_actor(
    rng: np.random.Generator,
    ident: int,
    place: tuple[float, float],
    width: int,
    speed: float,
    split: str,
    span: tuple[float, float] = (0.15, 0.65),
) -> Actor:
    """An actor at `place` (frame widths) whose longer side is within `span` frame widths."""
    side = max(10, int(width * np.exp(rng.uniform(np.log(span[0]), np.log(span[1])))))
    sprite = make_sprite(rng, side, split)
    path = random_path(rng, place, speed)
    if rng.random() > 0.25:
        return Actor(ident, sprite, path)
    part = make_sprite(rng, max(8, int(side * rng.uniform(0.4, 0.7))), split)
    joint = rng.uniform(-0.2, 0.2, 2) * side
    start = np.array([rng.uniform(0, 2 * np.pi)])
    rate = rng.uniform(0.1, 0.5)
    swing = Wave(start, np.zeros(1), np.array([rng.uniform(0.1, 0.6)]) * min(speed, 2), rate, 0.0)
    return Actor(ident, sprite, path, Limb(part, joint, swing))
