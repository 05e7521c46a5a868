# SPDX-License-Identifier: Apache-2.0
"""Score modes on clips, and go on with what an earlier run finished."""

from collections.abc import Callable
from collections.abc import Sequence
from functools import cache

from esam2_ros.evaluation.davis import Clip
from esam2_ros.evaluation.modes import EXACT
from esam2_ros.evaluation.modes import Floor
from esam2_ros.evaluation.modes import Mode
from esam2_ros.evaluation.modes import Setup
from esam2_ros.evaluation.results import ClipScore
from esam2_ros.evaluation.segmenter import PromptKind
from esam2_ros.evaluation.segmenter import Segmenter
from esam2_ros.evaluation.side_by_side import Entrant
from esam2_ros.evaluation.side_by_side import SideBySide
from esam2_ros.evaluation.store import ResultStore

Progress = Callable[[str, int], None]  # name of the clip, frames done since the last call
Scores = dict[str, dict[str, ClipScore]]  # by mode, then by clip


def enter(
    mode: Mode | Floor, frames: int, setup: Callable[[], Setup], prompt: PromptKind
) -> Entrant:
    """A mode ready for a clip of that many frames; `setup` is called only if it has a model."""
    if isinstance(mode, Floor):
        return Entrant(mode.start(), PromptKind.MASK)
    return Entrant(mode.start(frames, setup()), prompt)


class Evaluation:
    """Scores modes on clips; keeps the results where there is a store."""

    def __init__(
        self,
        modes: Sequence[Mode | Floor],
        prompt: PromptKind,
        setup: Callable[[], Setup],
        store: ResultStore | None = None,
        resume: bool = False,
    ) -> None:
        """`setup` loads the model: called once, and only if a mode needs it.

        `resume` takes finished results from the store instead of making them again.
        """
        self._modes = {mode.name: mode for mode in modes}
        self._prompt = prompt
        self._setup = cache(setup)
        self._store = store
        self._resume = resume

    def run(self, clips: Sequence[Clip], progress: Progress) -> Scores:
        """Score every mode on every clip.

        Raises DatasetError for a file that cannot be read, ScoreError for a clip whose truth
        is empty, and what loading the model raises.
        """
        scores: Scores = {name: {} for name in self._modes}
        for clip in clips:
            for name, score in self._clip(clip, progress).items():
                scores[name][clip.name] = score
        return scores

    def _clip(self, clip: Clip, progress: Progress) -> dict[str, ClipScore]:
        done = {name: score for name in self._modes if (score := self._finished(name, clip))}
        missing = [name for name in self._modes if name not in done]
        if not missing:
            progress(clip.name, len(clip))
            return done
        done |= self._score(clip, missing, progress)
        return {name: done[name] for name in self._modes}

    def _finished(self, name: str, clip: Clip) -> ClipScore | None:
        if self._store is None or not self._resume:
            return None
        score = self._store.load(name, clip)
        lacks_comparison = score is not None and score.iou_to_exact is None
        return None if lacks_comparison and EXACT in self._modes else score

    def _score(self, clip: Clip, names: list[str], progress: Progress) -> dict[str, ClipScore]:
        race = SideBySide(
            clip,
            {name: self._enter(name, len(clip)) for name in names},
            self._reference(clip, names),
        )
        if self._store is not None:
            for name in names:
                self._store.begin(name, clip)
        for index, labels in enumerate(race.frames()):
            if self._store is not None:
                for name in names:
                    self._store.put_mask(name, clip, index, labels[name])
            progress(clip.name, 1)
        scores = race.results()
        if self._store is not None:
            for name, score in scores.items():
                self._store.finish(name, clip, score)
        return scores

    def _enter(self, name: str, frames: int) -> Entrant:
        return enter(self._modes[name], frames, self._setup, self._prompt)

    def _reference(self, clip: Clip, names: list[str]) -> str | Segmenter | None:
        if EXACT not in self._modes:
            return None
        if EXACT in names or self._store is None:
            return EXACT
        return self._store.replay(EXACT, clip)
