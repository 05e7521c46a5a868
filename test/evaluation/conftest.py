# SPDX-License-Identifier: Apache-2.0
"""Two made clips on disk."""

from pathlib import Path

import pytest
from square_clips import CHANGING
from square_clips import MOVING
from square_clips import write_clip

from esam2_ros.evaluation.davis import Clip
from esam2_ros.evaluation.davis import find_clips


@pytest.fixture
def root(tmp_path) -> Path:
    """A folder of two clips in the plain layout."""
    for name, truths in (('changing', CHANGING), ('moving', MOVING)):
        write_clip(
            tmp_path / 'clips' / name / 'frames', tmp_path / 'clips' / name / 'masks', truths
        )
    return tmp_path / 'clips'


@pytest.fixture
def clips(root) -> dict[str, Clip]:
    return {clip.name: clip for clip in find_clips(root)}
