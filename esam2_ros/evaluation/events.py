# SPDX-License-Identifier: Apache-2.0
"""Score modes on event clips, side by side, and keep what was done."""

import json
import time
from collections.abc import Callable
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from esam2_ros.errors import ConfigError
from esam2_ros.evaluation.event_clips import EventClass
from esam2_ros.evaluation.event_clips import EventClip
from esam2_ros.evaluation.event_clips import clip_name
from esam2_ros.evaluation.event_clips import event_clip
from esam2_ros.evaluation.event_pictures import Gallery
from esam2_ros.evaluation.event_pictures import Reel
from esam2_ros.evaluation.event_report import EventScores
from esam2_ros.evaluation.event_report import to_json
from esam2_ros.evaluation.event_scores import EventScore
from esam2_ros.evaluation.event_scores import EventTally
from esam2_ros.evaluation.event_store import EventStore
from esam2_ros.evaluation.job import Job
from esam2_ros.evaluation.job import check_folder
from esam2_ros.evaluation.job import inputs_of
from esam2_ros.evaluation.modes import Setup
from esam2_ros.evaluation.run import enter
from esam2_ros.evaluation.segmenter import Segmentation
from esam2_ros.evaluation.segmenter import draw_prompt
from esam2_ros.evaluation.side_by_side import Entrant
from esam2_ros.training.scenes.film import TARGET

Progress = Callable[[str, int], None]  # name of the clip, clips done since the last call


def pick_classes(names: Sequence[str]) -> tuple[EventClass, ...]:
    """The classes of these names, or all of them. Raises ConfigError for an unknown name."""
    unknown = [name for name in names if name not in list(EventClass)]
    if unknown:
        raise ConfigError(f'unknown event class {unknown[0]!r}; allowed: {", ".join(EventClass)}')
    return tuple(EventClass(name) for name in dict.fromkeys(names)) or tuple(EventClass)


@dataclass(frozen=True)
class EventJob:
    """Modes of `job` on the first `clips` clips of every class, from `seed`."""

    job: Job
    classes: tuple[EventClass, ...]
    clips: int
    seed: int = 0

    def run(
        self,
        progress: Progress,
        out: Path | None = None,
        resume: bool = False,
        gallery: Gallery | None = None,
    ) -> tuple[EventScores, dict[str, Any]]:
        """Score all clips; gives the scores and the report `esam2 eval events --json` prints.

        `out`: folder where scores and the report are kept; `resume` takes up what is there.
        `gallery` films the first clip of each class, which is then run in any case. Raises
        ConfigError for an `out` that is no folder, and what loading the model raises.
        """
        check_folder(out)
        facts: dict[str, str | int] = {**self.job.facts(), 'seed': self.seed, 'clips': self.clips}
        store = None
        if out is not None:
            inputs = {**inputs_of(facts), 'seed': str(self.seed)}
            store = EventStore(out, self.job.preset, inputs)
        scores: EventScores = {}
        for kind in self.classes:
            rows = []
            for number in range(self.clips):
                film = gallery if number == 0 else None
                rows.append(self._clip(kind, number, store, resume, film))
                progress(clip_name(kind, number), 1)
            scores[kind] = {name: [row[name] for row in rows] for name in rows[0]}
        report = to_json(scores, facts)
        if out is not None:
            path = out / self.job.preset / 'events.json'
            path.write_text(json.dumps(report, indent=2), encoding='utf-8')
        return scores, report

    @cached_property
    def _setup(self) -> Setup:
        return self.job.setup()

    def _clip(
        self,
        kind: EventClass,
        number: int,
        store: EventStore | None,
        resume: bool,
        gallery: Gallery | None,
    ) -> dict[str, EventScore]:
        names = [mode.name for mode in self.job.modes]
        done: dict[str, EventScore] = {}
        if store is not None and resume and gallery is None:
            found = {name: store.load(name, kind, number) for name in names}
            done = {name: score for name, score in found.items() if score is not None}
        missing = [mode for mode in self.job.modes if mode.name not in done]
        if missing:
            clip = event_clip(kind, number, self.seed)
            entrants = {
                mode.name: enter(mode, len(clip), lambda: self._setup, self.job.prompt)
                for mode in missing
            }
            reel = gallery.film(clip, list(entrants)) if gallery else None
            fresh = race(clip, entrants, reel)
            for name, score in fresh.items():
                if store is not None:
                    store.put(name, kind, number, score)
            done |= fresh
        return {name: done[name] for name in names}


def race(
    clip: EventClip, entrants: dict[str, Entrant], reel: Reel | None = None
) -> dict[str, EventScore]:
    """Take the clip's frames in turn through every method, and score them."""
    tallies = {name: EventTally(clip) for name in entrants}
    for index, image in enumerate(clip.frames):
        # Every other frame in reverse, so that nobody always runs on the warmer cache.
        order = list(entrants) if index % 2 == 0 else list(reversed(entrants))
        shown: dict[str, Segmentation] = {}
        for name in order:
            entrant = entrants[name]
            prompts = {}
            if index == 0:
                prompts[TARGET] = draw_prompt(clip.masks[0] == TARGET, entrant.prompt)
            start = time.perf_counter()
            shown[name] = entrant.segmenter.step(image, prompts)
            tallies[name].add(shown[name], (time.perf_counter() - start) * 1e3)
        if reel is not None:
            reel.show(index, shown)
    if reel is not None:
        reel.close()
    return {name: tally.score() for name, tally in tallies.items()}
