# SPDX-License-Identifier: Apache-2.0
"""How the camera and the actors of an event clip move, in frame widths and frames.

Everything moves as in its calm scene until the frame `onset`.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from esam2_ros.training.scenes.motion import Camera
from esam2_ros.training.scenes.motion import Motion
from esam2_ros.training.scenes.motion import Route
from esam2_ros.training.scenes.motion import random_path
from esam2_ros.training.scenes.motion import still
from esam2_ros.training.scenes.sprites import Sprite
from esam2_ros.training.scenes.stage import COVERED
from esam2_ros.training.scenes.stage import Actor
from esam2_ros.training.scenes.textures import texture

Points = NDArray[np.float64]

TURN_BACK = 0.2  # frame widths from the start at which a pan turns round
ROOM = (0.15, 0.85)  # shares of the frame between which a running target's centre stays
SLIDE = 3  # frames in which a board comes over the target, and leaves it
SPARE = 1.1  # of a board's size, over the target's
LEAVE = 12  # frames from the middle of the picture to out of it
APPROACH = 12  # frames from the onset until a twin is nearest
TWIN_STEP = 0.03
TWIN_GAP = 0.8  # of the target's extent, between both centres: the twin is covered in part


def _calm(motion: Motion, frames: int) -> Points:
    return np.stack([motion.at(t) for t in range(frames)])


def _fold(values: Points, low: float, high: float) -> Points:
    """Values that bounce between two walls."""
    span = high - low
    return low + span - np.abs((values - low) % (2 * span) - span)


def panned(
    camera: Camera, rng: np.random.Generator, step: float, onset: int, frames: int
) -> Camera:
    """A camera that turns to and fro, mostly sideways, at `step` a frame."""
    points = _calm(camera.pan, frames)
    angle = rng.uniform(-0.3, 0.3) + np.pi * rng.integers(2)
    run = step * np.maximum(np.arange(frames) - onset + 1, 0)
    way = _fold(run, -TURN_BACK, TURN_BACK)[:, None]
    return replace(camera, pan=Route(points + way * (np.cos(angle), np.sin(angle))))


def shaken(
    camera: Camera, rng: np.random.Generator, jolt: float, onset: int, frames: int
) -> Camera:
    """A camera that is thrown about; `jolt` is the standard deviation of its place."""
    points = _calm(camera.pan, frames)
    points[onset:] += rng.normal(0, jolt, points[onset:].shape)
    return replace(camera, pan=Route(points))


def running(
    target: Actor, rng: np.random.Generator, step: float, tall: float, onset: int, frames: int
) -> Actor:
    """The target sets off at `step` a frame and bounces off the picture's edges."""
    points = _calm(target.path.place, frames)
    angle = rng.uniform(0, 2 * np.pi)
    run = step * np.arange(1, frames - onset + 1)[:, None]
    way = points[onset - 1] + run * (np.cos(angle), np.sin(angle))
    for axis, side in enumerate((1.0, tall)):
        low, high = (share * side for share in ROOM)
        points[onset:, axis] = _fold(way[:, axis], low, high)
    return replace(target, path=replace(target.path, place=Route(points)))


def board(
    target: Actor,
    rng: np.random.Generator,
    ident: int,
    width: int,
    split: str,
    onset: int,
    away: int,
    frames: int,
) -> Actor:
    """A square board that touches the target at `onset` and covers all of it for `away` frames."""
    covering = range(onset, onset + 2 * SLIDE + away)
    extent = max(_extent(target, t, width) for t in covering)
    side = int(2 * SPARE * extent * width)
    alpha = np.full((side, side, 1), 255, np.uint8)
    sprite = Sprite(np.dstack([texture(rng, side, split), alpha]))
    # From where both touch to where the board is in the middle takes SLIDE frames.
    pace = (extent + side / width / 2) / SLIDE * rng.choice([-1.0, 1.0])
    t = np.arange(frames)
    covered = onset + SLIDE
    shift = np.minimum(t - covered, 0) + np.maximum(t - (covered + away - 1), 0)
    points = _calm(target.path.place, frames)
    points[:, 0] += pace * shift
    path = replace(
        random_path(rng, (0.0, 0.0), 0.0),
        place=Route(points),
        turn=still((0.0,)),
        squeeze=still((0.0,)),
    )
    return Actor(ident, sprite, path)


def leaving(
    target: Actor, rng: np.random.Generator, width: int, onset: int, away: int, frames: int
) -> Actor:
    """The target walks out of the picture sideways, stays for `away` frames and walks back."""
    points = _calm(target.path.place, frames)
    side = rng.choice([-1.0, 1.0])
    edge = float(side > 0)
    extent = _extent(target, onset, width)
    # A little farther than the edge, for the camera is not quite still.
    way = abs(edge - points[onset, 0]) + 1.2 * extent
    t = np.arange(frames)
    out = np.clip((t - onset + 1) / LEAVE, 0, 1)
    back = np.clip((t - (onset + LEAVE + away - 2)) / LEAVE, 0, 1)
    points[:, 0] += side * way * (out - back)
    return replace(target, path=replace(target.path, place=Route(points)))


def twin(
    target: Actor, rng: np.random.Generator, ident: int, width: int, nearest: int, frames: int
) -> Actor:
    """Another actor of the target's look, which goes sideways past it."""
    place = _calm(target.path.place, frames)
    heading, above = rng.choice([-1.0, 1.0], 2)
    gap = TWIN_GAP * 2 * _extent(target, nearest, width)
    points = np.tile(place[nearest], (frames, 1))
    points[:, 0] += heading * TWIN_STEP * (np.arange(frames) - nearest)
    points[:, 1] += above * gap
    return replace(target, ident=ident, path=replace(target.path, place=Route(points)))


def _extent(actor: Actor, t: float, width: int) -> float:
    """How far the actor reaches from its centre at frame t, the larger of both axes."""
    centre = actor.path.centre(t) * width
    reach = 0.0
    for sprite, pose in actor.layers(t, width):
        ys, xs = np.nonzero(sprite.rgba[..., 3] > COVERED)
        corners = np.stack([xs, ys], axis=1) + 0.5 - sprite.side / 2
        placed = corners @ pose[:, :2].T + pose[:, 2] - centre
        reach = max(reach, float(np.abs(placed).max()))
    return reach / width
