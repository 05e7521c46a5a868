# SPDX-License-Identifier: Apache-2.0
"""The demo's scene: a cluttered table under a moving camera, an occlusion, a cut and its return."""

import cv2
import numpy as np
from numpy.typing import NDArray

from esam2_ros.training.scenes.film import TARGET
from esam2_ros.training.scenes.film import Timeline
from esam2_ros.training.scenes.film import film
from esam2_ros.training.scenes.motion import Camera
from esam2_ros.training.scenes.motion import Path
from esam2_ros.training.scenes.motion import Wave
from esam2_ros.training.scenes.motion import still
from esam2_ros.training.scenes.props import PROPS
from esam2_ros.training.scenes.props import Colour
from esam2_ros.training.scenes.props import book
from esam2_ros.training.scenes.props import mug
from esam2_ros.training.scenes.props import table_top
from esam2_ros.training.scenes.sprites import Sprite
from esam2_ros.training.scenes.sprites import paste
from esam2_ros.training.scenes.stage import MARGIN
from esam2_ros.training.scenes.stage import Actor
from esam2_ros.training.scenes.stage import Stage
from esam2_ros.training.scenes.values import Clip
from esam2_ros.training.scenes.values import EventKind
from esam2_ros.training.scenes.values import Pixels
from esam2_ros.training.scenes.values import SceneSpec

SIZE = (640, 360)
FRAMES = 90
CUT = (52, 62)
OCCLUSION = 28.0
COLOURS: tuple[Colour, ...] = (
    (196, 58, 48),
    (58, 122, 74),
    (222, 178, 60),
    (70, 92, 168),
    (142, 84, 150),
    (220, 128, 50),
    (90, 160, 170),
)
_SHADOW = 0.45
_PLACES = ((0.2, 0.12), (0.84, 0.12), (0.14, 0.44), (0.86, 0.42), (0.36, 0.48), (0.62, 0.5))
_MORE = ((-0.12, 0.2), (1.12, 0.3), (0.5, -0.1), (0.5, 0.68), (0.66, 0.08), (0.36, 0.06))


def _lying(place: tuple[float, float], turn: float) -> Path:
    return Path(still(place), still((turn,)), still((0.0,)), still((0.0,)))


def _cast_shadow(ground: Pixels, sprite: Sprite, pose: NDArray[np.float64], border: int) -> None:
    """Darken the table at the lower right of where the sprite will lie."""
    alpha = sprite.rgba.copy()
    alpha[..., :3] = 0
    alpha[..., 3] = (cv2.GaussianBlur(alpha[..., 3], (0, 0), 3) * _SHADOW).astype(np.uint8)
    below = pose.copy()
    below[:, 2] += border + sprite.side * 0.06
    paste(ground, Sprite(alpha), below)


def _table(
    rng: np.random.Generator, first: int, wood: Colour, target: bool, drift: tuple[float, float]
) -> Stage:
    """A table with a dozen props; with `target`, a red mug in the middle and a book over it."""
    width, height = SIZE
    border = round(MARGIN * width)
    ground = table_top(rng, (width + 2 * border, height + 2 * border), wood)
    actors = []
    for number, place in enumerate(_PLACES + _MORE):
        make = PROPS[rng.integers(len(PROPS))]
        # Red is kept for the mug that is tracked.
        colour = COLOURS[rng.integers(1, len(COLOURS))]
        sprite = make(rng, int(width * rng.uniform(0.15, 0.24)), colour)
        spot = (place[0] + rng.uniform(-0.03, 0.03), place[1] + rng.uniform(-0.03, 0.03))
        ident = first + 1 + number
        actors.append(Actor(ident, sprite, _lying(spot, rng.uniform(0, 2 * np.pi))))
    if target:
        cup = mug(rng, int(width * 0.22), COLOURS[0])
        nudge = Wave(np.array([0.5, 0.28]), np.array([4e-4, -2e-4]), np.zeros(2), 0.0, 0.0)
        path = Path(nudge, still((0.6,)), still((0.0,)), still((0.0,)))
        actors.append(Actor(TARGET, cup, path))
    for actor in actors:
        _cast_shadow(ground, actor.sprite, actor.path.pose(0, width), border)
    if target:
        actors.append(_passing_book(rng, first + len(actors) + 1))
    pan = Wave(np.zeros(2), np.array(drift), np.array([0.03, 0.012]), 0.06, 0.4)
    zoom = Wave(np.zeros(1), np.zeros(1), np.array([0.10]), 0.05, 0.0)
    camera = Camera(pan, zoom, 0.0015, int(rng.integers(2**31)))
    return Stage(ground, tuple(actors), camera)


def _passing_book(rng: np.random.Generator, ident: int) -> Actor:
    """A book that is carried over the mug and covers most of it at frame OCCLUSION."""
    pace = np.array([0.045, 0.012])
    meet = np.array([0.51, 0.29])
    place = Wave(meet - pace * OCCLUSION, pace, np.zeros(2), 0.0, 0.0)
    path = Path(place, still((0.25,)), still((0.0,)), still((0.0,)))
    return Actor(ident, book(rng, int(SIZE[0] * 0.3), COLOURS[3]), path)


def demo_scene(seed: int = 0) -> Clip:
    """90 frames of 640 x 360; target 1 is a red mug. The same seed gives the same bytes.

    A book passes over the mug around frame 28; frames 52 to 61 show another table.
    """
    rng = np.random.default_rng((seed, 77))
    here = _table(rng, TARGET, (176, 124, 78), True, (0.0012, 0.0003))
    other_first = max(actor.ident for actor in here.actors) + 1
    elsewhere = _table(rng, other_first, (96, 98, 104), False, (-0.002, 0.001))
    events = frozenset({EventKind.CUT, EventKind.OCCLUSION, EventKind.PAN})
    spec = SceneSpec(size=SIZE, frames=FRAMES, objects=13, clutter=0, noise=3.0, events=events)
    times = Timeline(cut=CUT, occlusion=OCCLUSION)
    return film(spec, times, (here, elsewhere), seed, np.random.default_rng((seed, 78)))


def box_of(clip: Clip, target: int = TARGET, frame: int = 0) -> tuple[float, float, float, float]:
    """Box (x0, y0, x1, y1) of the target's pixels in one frame; ValueError when it has none."""
    ys, xs = np.nonzero(clip.masks[frame] == target)
    if not len(ys):
        raise ValueError(f'target {target} has no pixel in frame {frame}, allowed are {clip.ids()}')
    return float(xs.min()), float(ys.min()), float(xs.max() + 1), float(ys.max() + 1)
