# SPDX-License-Identifier: Apache-2.0
"""Run several methods over one clip, frame by frame beside each other, and score them."""

import time
from collections.abc import Iterator
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from esam2_ros.core.prompts import Prompt
from esam2_ros.evaluation.davis import Clip
from esam2_ros.evaluation.davis import read_frame
from esam2_ros.evaluation.davis import read_mask
from esam2_ros.evaluation.results import ClipScore
from esam2_ros.evaluation.scores import VideoScorer
from esam2_ros.evaluation.scores import iou
from esam2_ros.evaluation.scores import labels_in
from esam2_ros.evaluation.segmenter import LabelMap
from esam2_ros.evaluation.segmenter import PromptKind
from esam2_ros.evaluation.segmenter import Segmenter
from esam2_ros.evaluation.segmenter import draw_prompt


@dataclass(frozen=True)
class Entrant:
    """A method ready for a clip, and how its targets are shown to it."""

    segmenter: Segmenter
    prompt: PromptKind


class _Tally:
    """Gathers what one method does on one clip."""

    def __init__(self, segmenter: Segmenter, frames: int) -> None:
        self._segmenter = segmenter
        self._scorer = VideoScorer(frames)
        self._milliseconds: list[float] = []
        self._active: list[float] = []
        self._queries: list[float] = []
        self._iou: dict[int, list[float]] = {}

    def step(self, image: NDArray[np.uint8], prompts: Mapping[int, Prompt]) -> LabelMap:
        start = time.perf_counter()
        segmentation = self._segmenter.step(image, prompts)
        elapsed = time.perf_counter() - start
        # A frame with a prompt takes more than tracking does, and the first one warms up.
        if not prompts:
            self._milliseconds.append(elapsed * 1e3)
            if segmentation.active is not None:
                self._active.append(segmentation.active)
            if segmentation.queries is not None:
                self._queries.append(segmentation.queries)
        return segmentation.labels

    def score(self, labels: LabelMap, truth: LabelMap) -> None:
        self._scorer.add(labels, truth)

    def compare(self, labels: LabelMap, reference: LabelMap, targets: set[int]) -> None:
        for target in targets:
            overlap = iou(labels == target, reference == target)
            self._iou.setdefault(target, []).append(overlap)

    def result(self, compared: bool) -> ClipScore:
        overlaps = {target: float(np.mean(row)) for target, row in self._iou.items()}
        return ClipScore(
            objects=self._scorer.scores(),
            iou_to_exact=overlaps if compared else None,
            timed_frames=len(self._milliseconds),
            ms_per_frame=float(np.mean(self._milliseconds)) if self._milliseconds else None,
            active=float(np.mean(self._active)) if self._active else None,
            queries=float(np.mean(self._queries)) if self._queries else None,
        )


class SideBySide:
    """Methods on one clip. A target is prompted on the first frame whose truth shows it."""

    def __init__(
        self,
        clip: Clip,
        entrants: Mapping[str, Entrant],
        reference: str | Segmenter | None = None,
    ) -> None:
        """`reference`: whom masks are compared with: an entrant's name, or somebody else."""
        self._clip = clip
        self._entrants = entrants
        self._reference = reference
        self._tallies = {
            name: _Tally(entrant.segmenter, len(clip)) for name, entrant in entrants.items()
        }

    def frames(self) -> Iterator[dict[str, LabelMap]]:
        """Take the clip's frames in turn and give every method's label map of each."""
        prompted: set[int] = set()
        for index, (frame, mask) in enumerate(
            zip(self._clip.frames, self._clip.masks, strict=True)
        ):
            image, truth = read_frame(frame), read_mask(mask)
            new = sorted(labels_in(truth) - prompted)
            # Every other frame in reverse, so that nobody always runs on the warmer cache.
            labels = self._step(image, self._draw(truth, new), backwards=bool(index % 2))
            reference = self._reference_labels(labels, image)
            for name, tally in self._tallies.items():
                tally.score(labels[name], truth)
                if reference is not None:
                    tally.compare(labels[name], reference, prompted)
            prompted.update(new)
            yield labels

    def results(self) -> dict[str, ClipScore]:
        """Scores by name, once all frames were taken; ScoreError before."""
        compared = self._reference is not None
        return {name: tally.result(compared) for name, tally in self._tallies.items()}

    def _draw(self, truth: LabelMap, new: list[int]) -> dict[PromptKind, dict[int, Prompt]]:
        kinds = {entrant.prompt for entrant in self._entrants.values()}
        return {
            kind: {target: draw_prompt(truth == target, kind) for target in new} for kind in kinds
        }

    def _step(
        self,
        image: NDArray[np.uint8],
        prompts: Mapping[PromptKind, Mapping[int, Prompt]],
        backwards: bool,
    ) -> dict[str, LabelMap]:
        order = list(self._entrants)
        return {
            name: self._tallies[name].step(image, prompts[self._entrants[name].prompt])
            for name in (reversed(order) if backwards else order)
        }

    def _reference_labels(
        self, labels: Mapping[str, LabelMap], image: NDArray[np.uint8]
    ) -> LabelMap | None:
        if self._reference is None:
            return None
        if isinstance(self._reference, str):
            return labels[self._reference]
        return self._reference.step(image, {}).labels
