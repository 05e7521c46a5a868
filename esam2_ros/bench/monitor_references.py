# SPDX-License-Identifier: Apache-2.0
"""PySceneDetect's detectors over the frames that the scene monitor gets.

Their thresholds are the library's. Their least scene length is 0 instead of 15 frames: with 15
they would not even try to find two cuts in a short clip. AdaptiveDetector looks two frames ahead.
"""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from esam2_ros.errors import ConfigError

NAMES = ('ContentDetector', 'AdaptiveDetector')
_RATE = 30.0  # frames a second; only counts frames here


def check_references() -> None:
    """Raise ConfigError when PySceneDetect is not installed."""
    try:
        import scenedetect  # noqa: F401
    except ImportError as error:
        raise ConfigError(
            f'PySceneDetect cannot be imported ({error}); it is in requirements-dev.txt: '
            'pip install scenedetect, or leave it out by --no-references'
        ) from error


def reference_cuts(name: str, frames: NDArray[np.uint8]) -> tuple[int, ...]:
    """Frames [T, H, W, 3] uint8 RGB at which the detector `name` sees a cut."""
    from scenedetect import FrameTimecode
    from scenedetect import detectors
    from scenedetect.scene_manager import compute_downscale_factor

    detector: Any = getattr(detectors, name)(min_scene_len=0)
    height, width = frames.shape[1:3]
    factor = compute_downscale_factor(width)
    small = (round(width / factor), max(1, round(height / factor)))
    cuts: list[int] = []
    time = FrameTimecode(timecode=0, fps=_RATE)
    for number, frame in enumerate(frames):
        time = FrameTimecode(timecode=number, fps=_RATE)
        seen = cv2.cvtColor(cv2.resize(frame, small), cv2.COLOR_RGB2BGR)
        cuts += [cut.frame_num for cut in detector.process_frame(time, seen)]
    cuts += [cut.frame_num for cut in detector.post_process(time)]
    return tuple(sorted(set(cuts)))
