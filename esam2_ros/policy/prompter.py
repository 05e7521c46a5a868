# SPDX-License-Identifier: Apache-2.0
"""Prompts on recent frames: segment there, remember it, and catch up to the newest frame."""

from collections.abc import Iterable

from esam2_ros.core.encoder import Features
from esam2_ros.core.engine import Engine
from esam2_ros.core.memory import MemoryBank
from esam2_ros.core.prompts import Prompt
from esam2_ros.core.segmentation import Segmentation
from esam2_ros.policy.config import TrackerConfig
from esam2_ros.policy.history import FrameHistory
from esam2_ros.policy.history import PastFrame
from esam2_ros.policy.pipeline import Pipeline
from esam2_ros.policy.targets import Target
from esam2_ros.policy.targets import accumulate


class Prompter:
    """Starts and corrects targets on the frames of a history.

    A prompt is checked against the image's size by whoever calls. `frame` is an index of the
    history; UnknownFrameError for one that it does not hold.
    """

    def __init__(
        self, engine: Engine, config: TrackerConfig, pipeline: Pipeline, history: FrameHistory
    ) -> None:
        """Prompt on frames of `history`; `pipeline` brings targets forward."""
        self._engine = engine
        self._config = config
        self._pipeline = pipeline
        self._history = history

    def start(
        self,
        target_id: int,
        prompt: Prompt,
        size: tuple[int, int],
        frame: int,
        banks: Iterable[MemoryBank],
    ) -> Target:
        """A new target from a prompt in pixels of an image of `size`; `banks` has all others'."""
        past, later = self._place(frame)
        bank = self._engine.new_bank(banks)
        with self._engine.precision():
            features = self._features(past)
            segmentation = self._engine.prompting.segment_first(features, prompt, size)
            self._engine.prompting.memorise(features, segmentation, bank, 0)
            segmentation = self._catch_up(bank, segmentation, later, 0)
        target = Target(target_id, prompt.label, bank, segmentation, prompt, past.index)
        for at, each in enumerate([past, *later]):
            target.arrive(each.index, at)
        if past.index < self._pipeline.cut_at:
            target.watch.cut()
        return target

    def correct(self, target: Target, prompt: Prompt, size: tuple[int, int], frame: int) -> None:
        """Correct a target, which stays as it was when this raises."""
        past, later = self._place(frame)
        index = target.at_frame(past.index)
        if past.index == target.prompt_frame:
            prompt = accumulate(target.prompt, prompt)
        before = target.bank.state()
        try:
            segmentation = self._segment_again(target, prompt, size, index, past, later)
        except BaseException:
            target.bank.restore(before)
            raise
        target.segmentation = segmentation
        target.prompt, target.prompt_frame = prompt, past.index
        # Frames that the catch-up skipped leave no gap in the bank.
        for at, each in enumerate([past, *later], start=index):
            target.arrive(each.index, at)
        target.trust()
        target.forget_conditioning()
        if past.index < self._pipeline.cut_at:
            target.watch.cut()
        target.label = prompt.label or target.label

    def _segment_again(
        self,
        target: Target,
        prompt: Prompt,
        size: tuple[int, int],
        index: int,
        past: PastFrame,
        later: list[PastFrame],
    ) -> Segmentation:
        """Segment on `past`, which is frame `index` of the target's bank, then go forward."""
        engine, bank = self._engine, target.bank
        previous = None if later else target.segmentation
        bank.drop_anchors()
        with engine.precision():
            features = self._features(past)
            segmentation = engine.prompting.segment_again(
                features, prompt, size, bank, index, previous
            )
            keep = self._config.refine_is_prompt or bank.holds_prompt(index)
            write = engine.prompting.memorise if keep else engine.prompting.memorise_correction
            write(features, segmentation, bank, index)
            return self._catch_up(bank, segmentation, later, index)

    def _catch_up(
        self, bank: MemoryBank, segmentation: Segmentation, later: list[PastFrame], index: int
    ) -> Segmentation:
        """Track one target through `later`, whose bank indices follow `index` without a gap."""
        features = (self._features(past) for past in later)
        return self._pipeline.catch_up(bank, features, index) or segmentation

    def _place(self, frame: int) -> tuple[PastFrame, list[PastFrame]]:
        """The prompted frame and the frames to catch up through."""
        past = self._history.at(frame)
        return past, self._history.after(past.index, self._config.catch_up_frames)

    def _features(self, past: PastFrame) -> Features:
        """All windows of a frame; those of the newest one are computed once."""
        features = self._history.features_of(past)
        if features is None:
            features = self._engine.encode(self._engine.normalise(past.pixels))
            self._history.keep_features(past, features)
        return features
