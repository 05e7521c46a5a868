# SPDX-License-Identifier: Apache-2.0
"""From settings to a tracker that is loaded and warm."""

from dataclasses import dataclass
from threading import Event
from time import perf_counter

from esam2_ros.ros.commands import Tracker
from esam2_ros.ros.settings import Settings

_WARM_TARGETS = 4  # as many at once are recorded on a GPU; with more, nothing but speed is lost


@dataclass(frozen=True, eq=False)
class LoadedTracker:
    """A tracker and what diagnostics say of it; `seconds` it took to load and warm up."""

    tracker: Tracker
    model: str
    device: str
    dtype: str
    image_size: int
    seconds: float


def load_tracker(settings: Settings, stop: Event) -> LoadedTracker:
    """Load the model, run it once on a blank image, and return a fresh tracker on it.

    Raises CheckpointError or ConfigError as `load_model` and `load_shortcut`, and
    InterruptedWorkError once `stop` is set.
    """
    # PyTorch takes seconds to import: here, the node answers meanwhile.
    import numpy as np

    from esam2_ros.core.prompts import Prompt
    from esam2_ros.policy.tracker import StreamingTracker
    from esam2_ros.ros.interrupt import make_interruptible
    from esam2_ros.ros.tracker_settings import tracker_config
    from esam2_ros.weights.loading import load_model
    from esam2_ros.weights.shortcuts import load_shortcut

    started = perf_counter()
    model = load_model(
        settings.model_name,
        settings.checkpoint or None,
        settings.device,
        settings.image_size or None,
        settings.seed,
    )
    make_interruptible(model, stop)
    shortcut = load_shortcut(model, settings.shortcut_checkpoint)
    config = tracker_config(settings)
    rehearsal = StreamingTracker(model, config, shortcut=shortcut)
    side = model.image_size
    blank = np.zeros((side, side, 3), np.uint8)
    rehearsal.step(blank)
    rehearsal.add(Prompt(box=(0, 0, side / 2, side / 2)))
    rehearsal.step(blank)
    tracker = StreamingTracker(model, config, shortcut=shortcut)
    tracker.warm_up(min(settings.max_targets, _WARM_TARGETS))
    return LoadedTracker(
        tracker=tracker,
        model=settings.model_name,
        device=str(model.device),
        dtype=settings.dtype,
        image_size=side,
        seconds=perf_counter() - started,
    )
