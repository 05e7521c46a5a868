# SPDX-License-Identifier: Apache-2.0
"""Render clips: cast a stage to the order, film it, and write down what happened."""

from collections.abc import Iterator
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import replace
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from esam2_ros.training.scenes.motion import Excursion
from esam2_ros.training.scenes.motion import Path
from esam2_ros.training.scenes.motion import Wave
from esam2_ros.training.scenes.motion import random_camera
from esam2_ros.training.scenes.motion import random_path
from esam2_ros.training.scenes.motion import still
from esam2_ros.training.scenes.stage import Actor
from esam2_ros.training.scenes.stage import Stage
from esam2_ros.training.scenes.stage import make_actor
from esam2_ros.training.scenes.stage import make_background
from esam2_ros.training.scenes.values import Clip
from esam2_ros.training.scenes.values import Event
from esam2_ros.training.scenes.values import EventKind
from esam2_ros.training.scenes.values import Pixels
from esam2_ros.training.scenes.values import SceneSpec

TARGET = 1
HIDDEN_SHARE = 0.5  # of its own area: below this a target counts as occluded


@dataclass(frozen=True)
class Timeline:
    """When the ordered events happen, in frames; None where not ordered."""

    cut: tuple[int, int] | None = None
    occlusion: float | None = None
    trip: tuple[float, float] | None = None
    exposure: int | None = None
    gain: float = 1.0
    blur: int | None = None


def plan(rng: np.random.Generator, spec: SceneSpec) -> Timeline:
    """Spread the ordered events over the clip so that each can be seen."""
    last = spec.frames
    cut = occlusion = trip = exposure = blur = None
    late = 0.0
    if EventKind.CUT in spec.events and last >= 3:
        start = int(np.clip(round(last * rng.uniform(0.4, 0.5)), 1, last - 2))
        back = int(np.clip(round(last * rng.uniform(0.55, 0.68)), start + 1, last - 1))
        cut, late = (start, back), back
    if EventKind.OCCLUSION in spec.events:
        occlusion = last * rng.uniform(0.2, 0.35) if cut else last * rng.uniform(0.3, 0.7)
    if EventKind.EXIT in spec.events:
        trip = (max(late, 0.3 * last) if last > 12 else 0.0, last * rng.uniform(0.9, 1.1))
    if EventKind.EXPOSURE in spec.events:
        exposure = int(rng.integers(1, max(2, last)))
    if EventKind.BLUR in spec.events:
        blur = int(rng.integers(1, max(2, last)))
    gain = float(rng.choice([rng.uniform(0.4, 0.7), rng.uniform(1.4, 2.0)]))
    return Timeline(cut, occlusion, trip, exposure, gain, blur)


def _crossing(rng: np.random.Generator, target: Path, when: float, frames: int) -> Path:
    """A path that meets the target's at frame `when`."""
    angle = rng.uniform(0, 2 * np.pi)
    pace = np.array([np.cos(angle), np.sin(angle)]) * rng.uniform(1.2, 2.5) / max(frames, 4)
    start = target.centre(when) - pace * when
    place = Wave(start, pace, np.zeros(2), 0.0, 0.0)
    return replace(random_path(rng, (0.0, 0.0), 0.2), place=place, size=still((0.0,)))


def cast(rng: np.random.Generator, spec: SceneSpec, times: Timeline, first: int) -> Stage:
    """Background, camera and actors with ids from `first`; the first actor is the target."""
    width, height = spec.size
    tall = height / width
    actors = []
    for number in range(spec.objects):
        spread = 0.25 if number == 0 else 0.5
        place = (0.5 + rng.uniform(-spread, spread), (0.5 + rng.uniform(-spread, spread)) * tall)
        span = (0.2, 0.6) if number == 0 else (0.12, 0.65)
        actors.append(make_actor(rng, first + number, place, width, spec.speed, spec.split, span))
    if first == TARGET:
        actors = _stage_events(rng, spec, times, actors)
    # The target stands before at least half of the others, an occluder before everything.
    leader = actors.pop(0)
    actors.insert(int(rng.integers(len(actors) // 2, len(actors) + 1)), leader)
    actors.sort(key=lambda actor: actor.ident == first + spec.objects)
    flags = [kind in spec.events for kind in (EventKind.PAN, EventKind.ZOOM, EventKind.SHAKE)]
    camera = random_camera(rng, spec.speed, *flags)
    background = make_background(rng, width, height, spec.clutter, spec.split)
    return Stage(background, tuple(actors), camera)


def _stage_events(
    rng: np.random.Generator, spec: SceneSpec, times: Timeline, actors: list[Actor]
) -> list[Actor]:
    target = actors[0]
    if times.trip is not None:
        side = rng.choice([-1.0, 1.0])
        trip = Excursion(np.array([side * rng.uniform(1.2, 1.5), 0.0]), *times.trip)
        actors[0] = target = replace(target, path=target.path.with_trip(trip))
    if EventKind.DISTRACTOR in spec.events and len(actors) > 1:
        twin = actors[1]
        path = replace(twin.path, turn=target.path.turn)
        actors[1] = replace(target, ident=twin.ident, path=path)
    if times.occlusion is not None:
        path = _crossing(rng, target.path, times.occlusion, spec.frames)
        ident = actors[0].ident + spec.objects
        cover = make_actor(rng, ident, (0, 0), spec.size[0], 0.0, spec.split, (0.35, 0.6))
        actors.append(replace(cover, path=path, limb=None))
    return actors


@cache
def _noise(width: int, height: int, level: int) -> NDArray[np.int16]:
    noise = np.random.default_rng(level).normal(0, level, (height + 64, width + 64, 3))
    return noise.astype(np.int16)


def _expose(
    rng: np.random.Generator, frame: Pixels, spec: SceneSpec, times: Timeline, t: int
) -> Pixels:
    """What the sensor makes of it: motion blur, gain, noise."""
    height, width = frame.shape[:2]
    if times.blur is not None and times.blur <= t < times.blur + max(1, spec.frames // 5):
        length = max(3, int(width * 0.03) | 1)
        kernel = np.zeros((length, length), np.float32)
        kernel[length // 2] = 1 / length
        if rng.random() < 0.5:
            kernel = kernel.T
        frame = cv2.filter2D(frame, -1, kernel)
    if times.exposure is not None and t >= times.exposure:
        frame = cv2.convertScaleAbs(frame, alpha=times.gain)
    level = round(spec.noise)
    if level:
        y, x = rng.integers(64, size=2)
        grain = _noise(width, height, level)[y : y + height, x : x + width]
        frame = cv2.add(frame, grain, dtype=cv2.CV_8U)
    return np.asarray(frame, np.uint8)


def render(spec: SceneSpec, seed: int) -> Clip:
    """Render the clip that `spec` orders; the same spec and seed give the same bytes."""
    rng = np.random.default_rng((seed, 0))
    times = plan(rng, spec)
    stages = [cast(rng, spec, times, TARGET)]
    if times.cut is not None:
        after = max(actor.ident for actor in stages[0].actors) + 1
        stages.append(cast(rng, replace(spec, events=frozenset()), times, after))
    return film(spec, times, stages, seed, rng)


def film(
    spec: SceneSpec,
    times: Timeline,
    stages: Sequence[Stage],
    seed: int,
    rng: np.random.Generator,
) -> Clip:
    """Film the first stage, and the second one during the cut; `rng` draws the sensor noise."""
    width, height = spec.size
    frames = np.empty((spec.frames, height, width, 3), np.uint8)
    masks = np.empty((spec.frames, height, width), np.uint8)
    areas = []
    for t in range(spec.frames):
        elsewhere = times.cut is not None and times.cut[0] <= t < times.cut[1]
        frame, masks[t], own = stages[int(elsewhere)].render(t, width, height)
        frames[t] = _expose(rng, frame, spec, times, t)
        areas.append(own)
    events = _ordered(spec, times) + _observed(masks, areas)
    events.sort(key=lambda event: (event.frame, event.kind, event.target))
    return Clip(frames, masks, tuple(events), spec, seed)


def _ordered(spec: SceneSpec, times: Timeline) -> list[Event]:
    events = []
    if times.cut is not None:
        events.append(Event(times.cut[0], EventKind.CUT))
        events.append(Event(times.cut[1], EventKind.CUT_BACK))
    if times.exposure is not None and times.exposure < spec.frames:
        events.append(Event(times.exposure, EventKind.EXPOSURE))
    if times.blur is not None and times.blur < spec.frames:
        events.append(Event(times.blur, EventKind.BLUR))
    for kind in (EventKind.PAN, EventKind.ZOOM, EventKind.SHAKE):
        if kind in spec.events:
            events.append(Event(0, kind))
    if EventKind.DISTRACTOR in spec.events and spec.objects > 1:
        events.append(Event(0, EventKind.DISTRACTOR, TARGET))
    return events


def _observed(masks: Pixels, areas: list[dict[int, int]]) -> list[Event]:
    """Exits and occlusions as they are seen in the masks, cuts aside."""
    events = []
    for ident in areas[0]:
        inside, covered = areas[0][ident] > 0, False
        for t, own in enumerate(areas):
            if ident not in own:
                continue
            here = own[ident] > 0
            if here != inside:
                events.append(Event(t, EventKind.REENTRY if here else EventKind.EXIT, ident))
                inside = here
            visible = int(np.count_nonzero(masks[t] == ident))
            hidden = here and visible < HIDDEN_SHARE * own[ident]
            if hidden != covered:
                kind = EventKind.OCCLUSION if hidden else EventKind.REAPPEAR
                events.append(Event(t, kind, ident))
                covered = hidden
    return events


def random_spec(
    rng: np.random.Generator,
    size: tuple[int, int],
    frames: int,
    split: str = 'train',
    absent: float = 1.0,
) -> SceneSpec:
    """An order with random events; `absent` multiplies the odds of cuts and exits."""
    odds = {
        EventKind.CUT: 0.08 * absent if frames >= 4 else 0.0,
        EventKind.OCCLUSION: 0.35,
        EventKind.EXIT: 0.15 * absent,
        EventKind.EXPOSURE: 0.15,
        EventKind.DISTRACTOR: 0.3,
        EventKind.PAN: 0.3,
        EventKind.ZOOM: 0.15,
        EventKind.SHAKE: 0.15,
        EventKind.BLUR: 0.15,
    }
    events = frozenset(kind for kind, odd in odds.items() if rng.random() < odd)
    return SceneSpec(
        size=size,
        frames=frames,
        objects=int(rng.integers(4, 9)),
        clutter=int(rng.integers(0, 5)),
        speed=float(rng.choice([0.3, 1.0, 2.0, 3.0])),
        noise=float(rng.choice([0.0, 2.0, 4.0, 8.0])),
        events=events,
        split=split,
    )


def clips(seed: int, size: tuple[int, int], frames: int, split: str = 'train') -> Iterator[Clip]:
    """Endless random clips; the n-th is the same for the same arguments."""
    number = 0
    while True:
        rng = np.random.default_rng((seed, number))
        yield render(random_spec(rng, size, frames, split), int(rng.integers(2**31)))
        number += 1
