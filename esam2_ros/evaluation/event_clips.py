# SPDX-License-Identifier: Apache-2.0
"""Made clips in which one thing happens to the target, with every instance's true mask."""

from collections.abc import Callable
from dataclasses import dataclass
from dataclasses import field
from dataclasses import replace
from enum import StrEnum

import cv2
import numpy as np
from numpy.typing import NDArray

from esam2_ros.evaluation import event_moves as moves
from esam2_ros.training.scenes.film import TARGET
from esam2_ros.training.scenes.film import Timeline
from esam2_ros.training.scenes.film import film
from esam2_ros.training.scenes.motion import random_camera
from esam2_ros.training.scenes.stage import Stage
from esam2_ros.training.scenes.stage import make_actor
from esam2_ros.training.scenes.stage import make_background
from esam2_ros.training.scenes.values import SceneSpec

SIZE = (640, 360)  # width, height in pixels
ONSET = 10  # frame at which the event begins: memory has filled by then
WATCHED = 30  # frames after the event that are scored
SPLIT = 'held_out'  # photographs that training never sees
CALM = 0.3  # speed of everything that is not the event
NOISE = 3.0
AWAY = (4, 8, 16)  # frames out of sight, in turn
PAN_STEP = 24.0  # pixels a frame
SHAKE_STEP = 13.0  # standard deviation of each place of the camera, in pixels
FLASH = (1.6, 60.0)  # gain, offset in grey levels
GAINS = (0.5, 1.8)  # of the exposure step, in turn


class EventClass(StrEnum):
    """What happens to the target."""

    CALM = 'calm'  # nothing: the control
    CUT = 'cut'  # another scene, to the end
    CUT_BACK = 'cut_back'  # another scene for 4, 8 or 16 frames
    FLASH = 'flash'  # one bright frame
    PAN = 'pan'  # the camera turns to and fro, 24 px a frame
    SHAKE = 'shake'  # the camera jolts, about 18 px a frame and axis
    FAST_20 = 'fast_20'  # the target begins to run at 20 px a frame, and bounces
    FAST_40 = 'fast_40'
    FAST_60 = 'fast_60'
    OCCLUSION = 'occlusion'  # a board covers the target for 4, 8 or 16 frames
    REENTRY = 'reentry'  # the target leaves the picture for 4, 8 or 16 frames
    LOOKALIKE = 'lookalike'  # the target's twin passes close behind it
    EXPOSURE = 'exposure'  # the gain steps to 0.5 or 1.8


def clip_name(kind: EventClass, number: int) -> str:
    """Class and number."""
    return f'{kind}_{number:03d}'


@dataclass(frozen=True, eq=False)
class EventClip:
    """A clip with one event; the target is prompted on frame 0.

    frames  [T, H, W, 3] uint8 RGB
    masks   [T, H, W] uint8, the instance seen at each pixel; TARGET is the target
    onset   frame at which the event begins
    after   frame from which recovery counts: the first of a lasting event, or the first on
            which the target is seen again; T is after + WATCHED + 1
    """

    kind: EventClass
    number: int
    frames: NDArray[np.uint8]
    masks: NDArray[np.uint8]
    onset: int
    after: int

    @property
    def name(self) -> str:
        """Class and number."""
        return clip_name(self.kind, self.number)

    def __len__(self) -> int:
        return len(self.frames)


@dataclass(frozen=True)
class _Order:
    """A calm scene, and what an event needs to change it."""

    rng: np.random.Generator
    number: int
    stage: Stage

    @property
    def away(self) -> int:
        return AWAY[self.number % len(AWAY)]


@dataclass(frozen=True)
class _Take:
    """What the camera films: stages (the second one during a cut) and times.

    `after` None: the frame on which the target is seen again.
    """

    stages: tuple[Stage, ...]
    times: Timeline = field(default_factory=Timeline)
    after: int | None = ONSET
    frames: int = ONSET + WATCHED + 1


def event_clip(kind: EventClass, number: int, seed: int = 0) -> EventClip:
    """Clip `number` of a class. The same arguments give the same bytes.

    Clips of one number and seed share the scene, so that `calm` is each one's control.
    """
    scene = np.random.default_rng((seed, number, 0))
    own = np.random.default_rng((seed, number, 1 + list(EventClass).index(kind)))
    take = _EVENTS[kind](_Order(own, number, _scene(scene, TARGET)))
    spec = SceneSpec(size=SIZE, frames=take.frames, noise=NOISE, split=SPLIT)
    clip = film(spec, take.times, take.stages, seed, own)
    if kind is EventClass.FLASH:
        gain, offset = FLASH
        clip.frames[ONSET] = cv2.convertScaleAbs(clip.frames[ONSET], alpha=gain, beta=offset)
    after = clip.absent(TARGET)[-1] + 1 if take.after is None else take.after
    end = after + WATCHED + 1
    return EventClip(kind, number, clip.frames[:end], clip.masks[:end], ONSET, after)


def _scene(rng: np.random.Generator, first: int) -> Stage:
    """A nearly still scene; its first id belongs to the target in the middle, before all others."""
    width, height = SIZE
    tall = height / width
    actors = []
    for ident in range(first + 1, first + 1 + int(rng.integers(3, 6))):
        place = (rng.uniform(0, 1), rng.uniform(0, tall))
        actors.append(make_actor(rng, ident, place, width, CALM, SPLIT, (0.12, 0.35)))
    place = (0.5 + rng.uniform(-0.1, 0.1), tall * (0.5 + rng.uniform(-0.1, 0.1)))
    actors.append(make_actor(rng, first, place, width, CALM, SPLIT, (0.2, 0.32)))
    camera = random_camera(rng, CALM, False, False, False)
    background = make_background(rng, width, height, int(rng.integers(2, 6)), SPLIT)
    return Stage(background, tuple(actors), camera)


def _calm(order: _Order) -> _Take:
    return _Take((order.stage,))


def _other(order: _Order) -> Stage:
    return _scene(order.rng, 1 + max(actor.ident for actor in order.stage.actors))


def _cut(order: _Order) -> _Take:
    times = Timeline(cut=(ONSET, ONSET + WATCHED + 1))
    return _Take((order.stage, _other(order)), times)


def _cut_back(order: _Order) -> _Take:
    back = ONSET + order.away
    times = Timeline(cut=(ONSET, back))
    return _Take((order.stage, _other(order)), times, back, back + WATCHED + 1)


def _pan(order: _Order) -> _Take:
    camera = moves.panned(
        order.stage.camera, order.rng, PAN_STEP / SIZE[0], ONSET, ONSET + WATCHED + 1
    )
    return _Take((replace(order.stage, camera=camera),))


def _shake(order: _Order) -> _Take:
    camera = moves.shaken(
        order.stage.camera, order.rng, SHAKE_STEP / SIZE[0], ONSET, ONSET + WATCHED + 1
    )
    return _Take((replace(order.stage, camera=camera),))


def _fast(pixels: float) -> Callable[[_Order], _Take]:
    def take(order: _Order) -> _Take:
        *others, target = order.stage.actors
        running = moves.running(
            target, order.rng, pixels / SIZE[0], SIZE[1] / SIZE[0], ONSET, ONSET + WATCHED + 1
        )
        return _Take((replace(order.stage, actors=(*others, running)),))

    return take


def _occlusion(order: _Order) -> _Take:
    target = order.stage.actors[-1]
    frames = ONSET + 2 * moves.SLIDE + order.away + WATCHED + 1
    ident = 1 + max(actor.ident for actor in order.stage.actors)
    board = moves.board(target, order.rng, ident, SIZE[0], SPLIT, ONSET, order.away, frames)
    stage = replace(order.stage, actors=(*order.stage.actors, board))
    return _Take((stage,), after=None, frames=frames)


def _reentry(order: _Order) -> _Take:
    *others, target = order.stage.actors
    frames = ONSET + 2 * moves.LEAVE + order.away + WATCHED + 1
    gone = moves.leaving(target, order.rng, SIZE[0], ONSET, order.away, frames)
    stage = replace(order.stage, actors=(*others, gone))
    return _Take((stage,), after=None, frames=frames)


def _lookalike(order: _Order) -> _Take:
    *others, target = order.stage.actors
    nearest = ONSET + moves.APPROACH
    frames = nearest + WATCHED + 1
    ident = 1 + max(actor.ident for actor in order.stage.actors)
    twin = moves.twin(target, order.rng, ident, SIZE[0], nearest, frames)
    stage = replace(order.stage, actors=(*others, twin, target))
    return _Take((stage,), after=nearest, frames=frames)


def _exposure(order: _Order) -> _Take:
    gain = GAINS[order.number % len(GAINS)]
    return _Take((order.stage,), Timeline(exposure=ONSET, gain=gain))


_EVENTS: dict[EventClass, Callable[[_Order], _Take]] = {
    EventClass.CALM: _calm,
    EventClass.CUT: _cut,
    EventClass.CUT_BACK: _cut_back,
    EventClass.FLASH: _calm,
    EventClass.PAN: _pan,
    EventClass.SHAKE: _shake,
    EventClass.FAST_20: _fast(20.0),
    EventClass.FAST_40: _fast(40.0),
    EventClass.FAST_60: _fast(60.0),
    EventClass.OCCLUSION: _occlusion,
    EventClass.REENTRY: _reentry,
    EventClass.LOOKALIKE: _lookalike,
    EventClass.EXPOSURE: _exposure,
}
