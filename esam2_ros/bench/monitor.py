# SPDX-License-Identifier: Apache-2.0
"""Measure the scene monitor: cuts found and made up, classes against the truth, and its cost."""

from collections import Counter
from collections.abc import Callable
from collections.abc import Iterable
from dataclasses import dataclass
from dataclasses import field
from time import perf_counter
from time import thread_time
from typing import Any

import cv2
import numpy as np

from esam2_ros.bench.monitor_clips import TruthClip
from esam2_ros.bench.monitor_references import NAMES
from esam2_ros.bench.monitor_references import reference_cuts
from esam2_ros.policy.monitor import MonitorConfig
from esam2_ros.policy.monitor import MotionClass
from esam2_ros.policy.monitor import SceneMonitor

LATE = 5  # frames after a cut within which a detection still counts, as a late one
COST_SIZE = (1280, 720)
_COST_FRAMES = 400


@dataclass
class CutScore:
    """Cuts found, with the delay of each in frames, and false ones."""

    truths: int = 0
    delays: list[int] = field(default_factory=list)
    false: int = 0
    calm_frames: int = 0
    calm_false: int = 0

    def add(self, seen: Iterable[int], truth: Iterable[int], frames: int) -> None:
        """Count a clip: each true cut takes the first detection at it or up to LATE after it."""
        free, truth = sorted(seen), sorted(truth)
        if not truth:
            self.calm_frames += frames
            self.calm_false += len(free)
        for number, cut in enumerate(truth):
            end = min([cut + LATE, *(later - 1 for later in truth[number + 1 : number + 2])])
            hit = next((each for each in free if cut <= each <= end), None)
            self.truths += 1
            if hit is not None:
                free.remove(hit)
                self.delays.append(hit - cut)
        self.false += len(free)

    @property
    def recall(self) -> float | None:
        """Found share of the true cuts; None when there are none."""
        return len(self.delays) / self.truths if self.truths else None

    @property
    def precision(self) -> float | None:
        """True share of the detections; None when there are none."""
        seen = len(self.delays) + self.false
        return len(self.delays) / seen if seen else None

    @property
    def delay(self) -> float | None:
        """Mean delay of the cuts found, in frames."""
        return float(np.mean(self.delays)) if self.delays else None

    @property
    def false_per_500(self) -> float | None:
        """False cuts in 500 frames of clips without any cut; None without such clips."""
        return 500 * self.calm_false / self.calm_frames if self.calm_frames else None


@dataclass
class MonitorScore:
    """What a run over clips gives; `confusion` counts frames by (truth, class)."""

    clips: int = 0
    frames: int = 0
    cut: CutScore = field(default_factory=CutScore)
    references: dict[str, CutScore] = field(default_factory=dict)
    confusion: Counter[tuple[str, str]] = field(default_factory=Counter)
    cpu_ms: list[float] = field(default_factory=list)
    wall_ms: list[float] = field(default_factory=list)

    @property
    def ms_per_frame(self) -> float:
        """Median processor time of a frame at 1280 x 720 on one core."""
        return float(np.median(self.cpu_ms))


def judge(clip: TruthClip, config: MonitorConfig) -> tuple[MotionClass, ...]:
    """The class of every frame of a clip; the first has nothing to be compared with."""
    monitor = SceneMonitor(config)
    return tuple(
        monitor.observe(frame, _last_mask(clip, number)).motion_class
        for number, frame in enumerate(clip.frames)
    )


def run(
    clips: Iterable[TruthClip],
    config: MonitorConfig,
    references: bool = True,
    advance: Callable[[], None] = lambda: None,
) -> MonitorScore:
    """Judge all clips, by PySceneDetect as well; `advance` is called after each."""
    score = MonitorScore(references={name: CutScore() for name in NAMES if references})
    for clip in clips:
        classes = judge(clip, config)
        count = len(classes)
        seen = [number for number, each in enumerate(classes) if each is MotionClass.CUT]
        score.cut.add(seen, clip.cuts, count)
        for number in range(1, count) if clip.truth is not None else ():
            score.confusion[clip.truth[number].value, classes[number].name] += 1
        for name, reference in score.references.items():
            reference.add(reference_cuts(name, clip.frames), clip.cuts, count)
        if len(score.cpu_ms) < _COST_FRAMES:
            _time(clip, config, score)
        score.clips += 1
        score.frames += count
        advance()
    return score


def _time(clip: TruthClip, config: MonitorConfig, score: MonitorScore) -> None:
    """Add the time of each frame but the first two, enlarged to 1280 x 720, on one thread."""
    frames = [np.asarray(cv2.resize(frame, COST_SIZE), np.uint8) for frame in clip.frames]
    monitor = SceneMonitor(config)
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        for number, frame in enumerate(frames):
            mask = _last_mask(clip, number)
            cpu, wall = thread_time(), perf_counter()
            monitor.observe(frame, mask)
            wall, cpu = perf_counter() - wall, thread_time() - cpu
            if number >= 2:
                score.cpu_ms.append(1e3 * cpu)
                score.wall_ms.append(1e3 * wall)
    finally:
        cv2.setNumThreads(threads)


def _last_mask(clip: TruthClip, number: int) -> Any:
    return clip.target[number - 1] if number and clip.target is not None else None
