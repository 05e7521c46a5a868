# SPDX-License-Identifier: Apache-2.0
"""Track prompted targets through an endless stream of images."""

from collections.abc import Callable
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from sam2.modeling.sam2_base import SAM2Base
from torch import Tensor

from esam2_ros.core.engine import Engine
from esam2_ros.core.images import check_image
from esam2_ros.core.images import resize_to_square
from esam2_ros.core.memory import MemoryBank
from esam2_ros.core.prompts import Prompt
from esam2_ros.core.shortcut import Shortcut
from esam2_ros.errors import ConfigError
from esam2_ros.errors import ImageError
from esam2_ros.errors import ImageSizeError
from esam2_ros.errors import NoImageError
from esam2_ros.errors import UnknownTargetError
from esam2_ros.policy.clock import StageClock
from esam2_ros.policy.config import TrackerConfig
from esam2_ros.policy.frame_path import make_engine
from esam2_ros.policy.history import FrameHistory
from esam2_ros.policy.history import PastFrame
from esam2_ros.policy.monitor.monitor import SceneMonitor
from esam2_ros.policy.monitor.values import MotionClass
from esam2_ros.policy.persistence import Origin
from esam2_ros.policy.persistence import check_room
from esam2_ros.policy.persistence import read_targets
from esam2_ros.policy.persistence import write_targets
from esam2_ros.policy.pipeline import Pipeline
from esam2_ros.policy.prompter import Prompter
from esam2_ros.policy.results import FrameResult
from esam2_ros.policy.results import TargetState
from esam2_ros.policy.routing import Router
from esam2_ros.policy.targets import Target
from esam2_ros.policy.targets import free_id
from esam2_ros.policy.targets import observe


class StreamingTracker:
    """Segments and follows targets, frame by frame, in memory that does not grow.

    A target is added, refined and removed at any time without touching the others. One thread
    owns a tracker. A call that raises leaves it as it was.
    """

    _engine: Engine
    _pipeline: Pipeline
    _prompter: Prompter

    def __init__(
        self,
        model: SAM2Base,
        config: TrackerConfig | None = None,
        router: Router | None = None,
        shortcut: Shortcut | None = None,
        monitor: SceneMonitor | None = None,
    ) -> None:
        """Prepare `model` (from `load_model`, or any SAM2Base) for a stream.

        `router` plans the frames (default: the published rule for the mode of `config`);
        `shortcut` is what windows get that are not computed (default: the identity); `monitor`
        watches the frames where `config` wants that (default: one with its settings).
        """
        self._model = model
        self._shortcut = shortcut
        self._router = router
        self._monitor = monitor
        self._history = FrameHistory(0, 0.0)
        self._targets: dict[int, Target] = {}
        self._last_id = 0
        self._size: tuple[int, int] | None = None
        self._result: FrameResult | None = None
        self.config = config or TrackerConfig()
        self._build(self.config)

    def warm_up(self, targets: int = 1) -> None:
        """Record and compile for `targets` at a time what frames run; call it before the first.

        On a CPU there is nothing to do.
        """
        self._engine.warm_up(targets)

    def configure(self, config: TrackerConfig) -> None:
        """Go on with other settings; targets and their memories stay.

        What the memories' buffers or the arithmetic depend on can change only while nothing is
        tracked: raises ConfigError, and nothing has changed.
        """
        changed = self.config.rebuilds(config)
        if changed and self._targets:
            name = changed[0]
            raise ConfigError(
                f'{name} cannot go from {getattr(self.config, name)!r} to'
                f' {getattr(config, name)!r} while {len(self._targets)} targets are tracked;'
                ' reset first'
            )
        if changed:
            self._build(config)
        else:
            self._run_by(config, self._pipeline)
        if not config.monitor:  # nobody would ever trust what waits now
            for target in self._targets.values():
                target.trust()
        self.config = config

    def _build(self, config: TrackerConfig) -> None:
        self._engine = make_engine(self._model, config, self._shortcut)
        self._history = FrameHistory(config.prompt_history_bytes, config.prompt_history_s)
        self._run_by(config, None)

    def _run_by(self, config: TrackerConfig, before: Pipeline | None) -> None:
        self._pipeline = Pipeline(self._engine, config, self._router, before, self._monitor)
        self._prompter = Prompter(self._engine, config, self._pipeline, self._history)

    @property
    def result(self) -> FrameResult | None:
        """The newest frame's result, with every add, refine and remove since; None before it."""
        return self._result

    @property
    def target_ids(self) -> tuple[int, ...]:
        """The ids being tracked, oldest first."""
        return tuple(self._targets)

    @property
    def memory_bytes(self) -> int:
        """Bytes of all memory banks and caches, and of the frames kept for late prompts."""
        targets = sum(target.nbytes for target in self._targets.values())
        return targets + self._history.nbytes + self._pipeline.nbytes

    def step(self, image: NDArray[np.uint8], stamp: int | None = None) -> FrameResult:
        """Track every target on the next image.

        `image`: [height, width, 3] uint8 RGB. `stamp`: nanoseconds, kept with the result and
        the name a late prompt gives this frame. Raises ImageError for an image that is empty
        or of the wrong type, ImageSizeError when the size changes while targets are tracked.
        """
        self.check(image)
        size = (image.shape[1], image.shape[0])
        pixels = resize_to_square(image, self._engine.image_size)
        return self._step(pixels, image, size, stamp)

    def check(self, image: NDArray[np.uint8]) -> None:
        """Raise what `step` would raise for this image; nothing changes."""
        check_image(image)
        self._check_size((image.shape[1], image.shape[0]))

    def step_tensor(
        self, image: Tensor, stamp: int | None = None, size: tuple[int, int] | None = None
    ) -> FrameResult:
        """Track every target on an image that is resized and normalised already.

        `image`: [1, 3, S, S] float. `size`: width, height of the original image, in whose
        pixels prompts and results are (default S, S). Raises as `step`.
        """
        side = self._engine.image_size
        if tuple(image.shape) != (1, 3, side, side) or not image.is_floating_point():
            raise ImageError(
                f'image is {image.dtype} of shape {tuple(image.shape)};'
                f' allowed: float [1, 3, {side}, {side}]'
            )
        size = size or (side, side)
        self._check_size(size)
        return self._step(image, None, size, stamp)

    @torch.inference_mode()
    def add(self, prompt: Prompt, frame: int | NDArray[np.uint8] | None = None) -> int:
        """Start tracking what `prompt` shows; returns the new target's id.

        `frame`: the frame the prompt was drawn on: None is the newest one; an index, one of
        the history's, from which the target is then caught up to the newest frame; an image,
        which is stepped first. Raises NoImageError before the first image, PromptError for a
        prompt that does not fit it, UnknownFrameError for a frame too old, and
        TooManyTargetsError.
        """
        new_id = free_id(self._targets, self._last_id, self.config.max_targets)
        if isinstance(frame, np.ndarray):
            check_image(frame)
            prompt.check(frame.shape[1], frame.shape[0])
            self.step(frame)
            frame = None
        result, size = self._require_frame()
        prompt.check(*size)
        at = result.frame_index if frame is None else frame
        banks = (target.bank for target in self._targets.values())
        target = self._prompter.start(new_id, prompt, size, at, banks)
        states = observe([target], size, self.config.lost_after_frames, new_frame=False)
        self._targets[new_id] = target
        self._last_id = new_id
        self._pipeline.prompted = result.frame_index
        self._update(lambda old: (*old, *states))
        return new_id

    @torch.inference_mode()
    def refine(self, target_id: int, prompt: Prompt, frame: int | None = None) -> None:
        """Correct a target; clicks on a frame add up, a box or a mask replaces them.

        `frame`: an index of the history, or None for the newest frame. Raises
        UnknownTargetError, and as `add`.
        """
        target = self._require_target(target_id)
        result, size = self._require_frame()
        prompt.check(*size)
        at = result.frame_index if frame is None else frame
        self._prompter.correct(target, prompt, size, at)
        self._pipeline.prompted = result.frame_index
        (state,) = observe([target], size, self.config.lost_after_frames, new_frame=False)
        self._update(lambda old: (state if each.id == target_id else each for each in old))

    def remove(self, target_id: int) -> None:
        """Stop tracking a target and free its memory; UnknownTargetError for an unknown id."""
        self._require_target(target_id)
        self._pipeline.forget(list(self._targets).index(target_id))
        del self._targets[target_id]
        self._update(lambda old: (each for each in old if each.id != target_id))

    def reset(self) -> None:
        """Forget all targets; the newest frames stay, so that prompts can name them."""
        self._targets.clear()
        self._last_id = 0
        self._update(lambda old: ())

    def forget_recent(self) -> None:
        """Forget recent frames but no target: what a jump in time calls for."""
        self._pipeline.jump(-1 if self._result is None else self._result.frame_index)
        for target in self._targets.values():
            target.bank.forget_recent()
            target.trust()
            target.forget_conditioning()
        self._history.clear()

    def save(self, path: str | Path) -> tuple[int, ...]:
        """Write all targets and their memories to a file; returns their ids.

        Raises MemoryFileError when nothing is tracked or the file cannot be written.
        """
        targets = list(self._targets.values())
        write_targets(Path(path), Origin.of(self._model), self._size, targets)
        return self.target_ids

    @torch.inference_mode()
    def load(self, path: str | Path) -> tuple[int, ...]:
        """Track the targets of a file too; returns their ids.

        They go on with the next image as if there had been no pause; all windows of it are
        computed. Raises MemoryFileError for a file that is absent, damaged, of another model or
        with ids in use, ImageSizeError for one of other images, and TooManyTargetsError.
        """
        path = Path(path)
        banks = [target.bank for target in self._targets.values()]

        def new_bank() -> MemoryBank:
            banks.append(self._engine.new_bank(banks))
            return banks[-1]

        saved = read_targets(path, Origin.of(self._model), new_bank)
        check_room(path, saved, self._size, self._targets, self.config.max_targets)
        ids = tuple(target.id for target in saved.targets)
        for target in saved.targets:
            newest = -1 if self._result is None else self._result.frame_index
            target.log.append((newest, target.next_at))
            target.watch.place = None
            if not self.config.monitor:  # nobody would ever trust what waits
                target.trust()
        self._targets.update(zip(ids, saved.targets, strict=True))
        self._last_id = max(self._last_id, *ids)
        self._size = saved.size
        if self._result is not None:
            self._pipeline.prompted = self._result.frame_index
            states = observe(
                list(saved.targets), saved.size, self.config.lost_after_frames, new_frame=False
            )
            self._update(lambda old: (*old, *states))
        return ids

    def frame_at(self, stamp: int) -> int:
        """The index of the frame with this stamp; UnknownFrameError names what is available."""
        return self._history.index_at(stamp)

    def history_span(self) -> tuple[int | None, int | None] | None:
        """Stamps of the oldest and the newest frame a prompt may name, None when there is none."""
        span = self._history.span()
        return (span[0].stamp, span[1].stamp) if span else None

    @torch.inference_mode()
    def _step(
        self,
        pixels: NDArray[np.uint8] | Tensor,
        image: NDArray[np.uint8] | None,
        size: tuple[int, int],
        stamp: int | None,
    ) -> FrameResult:
        """Track all targets on `pixels` (model size); `image` is what the monitor looks at."""
        if size != self._size:
            self._history.clear()
        clock = StageClock()
        index = 0 if self._result is None else self._result.frame_index + 1
        frame = PastFrame(index, stamp, pixels)
        with clock.stage('motion'):
            look = self._pipeline.look(
                pixels if image is None else image, list(self._targets.values())
            )
        if look.view is not None and look.view.motion_class is MotionClass.CUT:
            self._pipeline.cut_at = index
        targets = [] if look.resets else list(self._targets.values())
        try:
            result, features = self._pipeline.run(frame, size, targets, look, clock)
        except BaseException:
            # What this frame showed is lost: the next one must not trust the one before it.
            self._pipeline.jumped, self._pipeline.prompted = True, index
            for target in targets:
                target.forget_conditioning()
            raise
        if look.resets:
            self._targets.clear()
        self._history.push(frame, features)
        self._size = size
        self._result = replace(result, memory=replace(result.memory, bytes=self.memory_bytes))
        return self._result

    def _update(self, change: Callable[[tuple[TargetState, ...]], Iterable[TargetState]]) -> None:
        if self._result is not None:
            self._result = replace(self._result, targets=tuple(change(self._result.targets)))

    def _check_size(self, size: tuple[int, int]) -> None:
        if self._size is None or size == self._size:
            return
        if self._targets:
            raise ImageSizeError(
                f'image size changed from {self._size[0]} x {self._size[1]} to'
                f' {size[0]} x {size[1]} px while {len(self._targets)} targets are tracked;'
                ' reset first'
            )

    def _require_frame(self) -> tuple[FrameResult, tuple[int, int]]:
        if self._result is None or self._size is None or self._history.span() is None:
            raise NoImageError('a prompt came before the first image')
        return self._result, self._size

    def _require_target(self, target_id: int) -> Target:
        target = self._targets.get(target_id)
        if target is None:
            known = ', '.join(map(str, self._targets)) or 'none'
            raise UnknownTargetError(f'no target has id {target_id}; tracked: {known}')
        return target
