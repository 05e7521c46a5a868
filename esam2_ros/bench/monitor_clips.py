# SPDX-License-Identifier: Apache-2.0
"""Made clips for the scene monitor, with the truth of every frame read off the renderer."""

from collections.abc import Iterator
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import replace
from enum import StrEnum

import cv2
import numpy as np
from numpy.typing import NDArray

from esam2_ros.training.scenes.film import cast
from esam2_ros.training.scenes.film import film
from esam2_ros.training.scenes.film import plan
from esam2_ros.training.scenes.motion import Camera
from esam2_ros.training.scenes.motion import Wave
from esam2_ros.training.scenes.motion import still
from esam2_ros.training.scenes.stage import Stage
from esam2_ros.training.scenes.values import EventKind
from esam2_ros.training.scenes.values import SceneSpec

TARGET = 1
SIZES = ((1280, 720), (640, 360), (480, 270), (320, 180), (192, 192))
MOVED = 0.02  # frame widths a frame: a camera or target that does this is labelled as moving
FAST = 0.03
_ZOOMED = 0.02  # change of scale a frame


class Truth(StrEnum):
    """What a frame of a made clip is; the first that fits."""

    CUT = 'cut'
    FLASH = 'flash'
    EXPOSURE = 'exposure'
    SHAKE = 'shake'
    PAN = 'pan'
    ZOOM = 'zoom'
    FAST = 'fast'
    BLUR = 'blur'
    OTHER = 'other'


@dataclass(frozen=True, eq=False)
class TruthClip:
    """A clip with the truth of each frame.

    frames  [T, H, W, 3] uint8 RGB
    target  [T, H, W] bool, the tracked target; None where there is none
    truth   one label a frame; None for real clips, where only the cuts are known
    cuts    frames at which another scene begins
    """

    name: str
    frames: NDArray[np.uint8]
    target: NDArray[np.bool_] | None
    truth: tuple[Truth, ...] | None
    cuts: tuple[int, ...]


_CAMERA = {Truth.PAN: EventKind.PAN, Truth.ZOOM: EventKind.ZOOM, Truth.SHAKE: EventKind.SHAKE}
_LIGHT = {Truth.EXPOSURE: EventKind.EXPOSURE, Truth.BLUR: EventKind.BLUR}
_THEMES: tuple[tuple[Truth, ...], ...] = (
    (Truth.OTHER,),
    (Truth.PAN,),
    (Truth.SHAKE,),
    (Truth.FLASH,),
    (Truth.FAST,),
    (Truth.EXPOSURE,),
    (Truth.ZOOM, Truth.BLUR),
    (Truth.PAN, Truth.FLASH, Truth.FAST),
    (Truth.SHAKE, Truth.EXPOSURE, Truth.BLUR),
)


def event_clips(
    count: int,
    seed: int,
    frames: int,
    split: str = 'held_out',
    sizes: Sequence[tuple[int, int]] = SIZES,
) -> Iterator[TruthClip]:
    """`count` clips, every second one with a cut and a cut back, over all themes and sizes."""
    for number in range(count):
        rng = np.random.default_rng((seed, number))
        theme = _THEMES[number // 2 % len(_THEMES)]
        yield event_clip(rng, theme, number % 2 == 0, sizes[number % len(sizes)], frames, split)


def event_clip(
    rng: np.random.Generator,
    theme: tuple[Truth, ...],
    cut: bool,
    size: tuple[int, int],
    frames: int,
    split: str,
) -> TruthClip:
    """One clip in which the things named in `theme` happen."""
    events = {kind for truth, kind in (_CAMERA | _LIGHT).items() if truth in theme}
    if cut:
        events.add(EventKind.CUT)
    spec = SceneSpec(
        size=size,
        frames=frames,
        objects=int(rng.integers(3, 8)),
        clutter=int(rng.integers(0, 5)),
        speed=float(rng.choice([0.3, 1.0, 2.0])),
        noise=float(rng.choice([0.0, 2.0, 4.0, 8.0])),
        events=frozenset(events),
        split=split,
    )
    seed = int(rng.integers(2**31))
    inner = np.random.default_rng((seed, 0))
    times = plan(inner, spec)
    stages = [cast(inner, spec, times, TARGET)]
    if Truth.FAST in theme:
        stages[0] = _hurry(rng, stages[0])
    if times.cut is not None:
        later = replace(spec, events=frozenset(events & set(_CAMERA.values())))
        first = max(actor.ident for actor in stages[0].actors) + 1
        stages.append(cast(inner, later, times, first))
    clip = film(spec, times, stages, seed, inner)
    shown = [int(bool(times.cut and times.cut[0] <= t < times.cut[1])) for t in range(frames)]
    cameras = [stages[number].camera for number in shown]
    target = clip.masks == TARGET
    flash = _flash(rng, clip.frames, clip.cuts()) if Truth.FLASH in theme else ()
    truth = []
    for t in range(frames):
        if t in clip.cuts():
            truth.append(Truth.CUT)
        elif t in flash:
            truth.append(Truth.FLASH)
        elif t and t == times.exposure:
            truth.append(Truth.EXPOSURE)
        else:
            truth.append(_movement(t, cameras[t], target, theme))
    name = '+'.join(theme) + ('+cut' if cut else '')
    return TruthClip(name, clip.frames, target, tuple(truth), clip.cuts())


def _hurry(rng: np.random.Generator, stage: Stage) -> Stage:
    """The stage with its target swinging through the frame at up to a tenth of its width."""
    actors = [actor for actor in stage.actors if actor.ident != TARGET]
    target = next(actor for actor in stage.actors if actor.ident == TARGET)
    swing = np.array([rng.uniform(0.25, 0.35), rng.uniform(-0.1, 0.1)])
    rate = float(rng.uniform(0.2, 0.4))
    place = Wave(np.array([0.5, 0.3]), np.zeros(2), swing, rate, 0.0)
    path = replace(target.path, place=place, trip=None, size=still((0.0,)))
    return replace(stage, actors=(*actors, replace(target, path=path)))


def _flash(
    rng: np.random.Generator, frames: NDArray[np.uint8], cuts: tuple[int, ...]
) -> tuple[int, ...]:
    """Brighten or darken a few single frames, away from cuts; returns which."""
    last = len(frames) - 2
    free = [t for t in range(2, last) if all(abs(t - cut) > 2 for cut in cuts)]
    chosen: list[int] = []
    for t in rng.permutation(free)[: len(free) // 3]:
        if len(chosen) < 3 and all(abs(t - other) > 3 for other in chosen):
            chosen.append(int(t))
    for t in chosen:
        if rng.random() < 0.75:
            gain, offset = rng.uniform(1.2, 2.0), rng.uniform(20, 70)
        else:
            gain, offset = rng.uniform(0.25, 0.5), 0.0
        frames[t] = cv2.convertScaleAbs(frames[t], alpha=gain, beta=offset)
    return tuple(sorted(chosen))


def _movement(t: int, camera: Camera, target: NDArray[np.bool_], theme: tuple[Truth, ...]) -> Truth:
    if t == 0:
        return Truth.OTHER
    height, width = target.shape[1:]
    shift, scale = camera_step(camera, t, width, height)
    moved = float(np.hypot(*shift)) / width
    if moved >= MOVED and Truth.SHAKE in theme:
        return Truth.SHAKE
    if moved >= MOVED:
        return Truth.PAN
    if abs(scale - 1) >= _ZOOMED:
        return Truth.ZOOM
    if _target_step(target, t) >= FAST * width:
        return Truth.FAST
    return Truth.BLUR if Truth.BLUR in theme else Truth.OTHER


def camera_step(
    camera: Camera, t: int, width: int, height: int
) -> tuple[NDArray[np.float64], float]:
    """How the middle of the picture moved from frame t - 1 to t, in pixels, and its scale."""
    before, after = camera.view(t - 1, width, height), camera.view(t, width, height)
    middle = np.array([width / 2, height / 2])
    world = np.linalg.solve(before[:, :2], middle - before[:, 2])
    scale = float(np.sqrt(np.linalg.det(after[:, :2]) / np.linalg.det(before[:, :2])))
    return after[:, :2] @ world + after[:, 2] - middle, scale


def _target_step(target: NDArray[np.bool_], t: int) -> float:
    """How far the visible part of the target moved, in pixels; 0 when it is out of view."""
    ends = []
    for mask in (target[t - 1], target[t]):
        ys, xs = np.nonzero(mask)
        if not len(xs):
            return 0.0
        ends.append((xs.mean(), ys.mean()))
    return float(np.hypot(ends[1][0] - ends[0][0], ends[1][1] - ends[0][1]))
