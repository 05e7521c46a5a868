# SPDX-License-Identifier: Apache-2.0
"""Sheets and films of event clips: sizes, frames, and where the event is marked."""

from functools import cache

import cv2
import numpy as np
import pytest
from PIL import Image

from esam2_ros.evaluation.event_clips import ONSET
from esam2_ros.evaluation.event_clips import WATCHED
from esam2_ros.evaluation.event_clips import EventClass
from esam2_ros.evaluation.event_clips import event_clip
from esam2_ros.evaluation.event_film import EVENT
from esam2_ros.evaluation.event_film import FRAME_MS
from esam2_ros.evaluation.event_film import HOLD_MS
from esam2_ros.evaluation.event_film import event_span
from esam2_ros.evaluation.event_film import film_frames
from esam2_ros.evaluation.event_pictures import Gallery
from esam2_ros.evaluation.event_pictures import sheet_frames
from esam2_ros.evaluation.events import race
from esam2_ros.evaluation.modes import pick_modes
from esam2_ros.evaluation.run import enter
from esam2_ros.evaluation.segmenter import PromptKind

FLOORS = pick_modes(['copy_first', 'flow_warp'])
LAST = ONSET + WATCHED
clip_of = cache(event_clip)


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """Sheet and film of the first clip of a cut and back, which is away in frames 10 to 13."""
    folder = tmp_path_factory.mktemp('pictures')
    clip = clip_of(EventClass.CUT_BACK, 0, 0)
    gallery = Gallery(folder / 'sheets', folder / 'films')
    entrants = {mode.name: enter(mode, len(clip), None, PromptKind.BOX) for mode in FLOORS}
    modes = [*entrants, 'paper_monitor_false_cut']  # which is not filmed
    race(clip, entrants, gallery.film(clip, modes))
    return folder


def test_a_sheet_has_a_row_a_mode(folder):
    assert sheet_frames(clip_of(EventClass.CUT_BACK, 0, 0)) == (9, 12, 14, 15, 19, 44)
    sheet = cv2.imread(str(folder / 'sheets' / 'cut_back.png'))
    # 6 frames of 2 modes, each tile 400 x 225, 4 px between them.
    assert sheet.shape == (2 * 225 + 4, 6 * 404 - 4, 3)


def test_a_film_marks_the_event_on_its_frames(folder):
    path = folder / 'films' / 'cut_back.webp'
    wanted = film_frames(clip_of(EventClass.CUT_BACK, 0, 0))
    assert wanted == (0, *range(8, 19), 23, 28, 33, 38, 43, 44)
    with Image.open(path) as film:
        assert film.size == (2 * 212 + 4, 195)
        assert film.n_frames == len(wanted)
        marked, held = [], []
        for number, index in enumerate(wanted):
            film.seek(number)
            # A place in the middle of the title without letters.
            colour = np.asarray(film.convert('RGB'))[10, 265]
            if np.abs(colour - np.array(EVENT)).max() < 30:
                marked.append(index)
            held.append(film.info['duration'])
    assert marked == [10, 11, 12, 13]
    assert held == [HOLD_MS, *(FRAME_MS * gap for gap in np.diff(wanted[1:])), HOLD_MS]
    assert path.stat().st_size < 200_000


@pytest.mark.parametrize(
    ('kind', 'span'),
    [
        (EventClass.CALM, range(0)),
        (EventClass.FLASH, range(ONSET, ONSET + 1)),
        (EventClass.CUT, range(ONSET, LAST + 1)),
        (EventClass.CUT_BACK, range(ONSET, ONSET + 4)),
    ],
)
def test_when_an_event_is_going_on(kind, span):
    assert event_span(clip_of(kind, 0, 0)) == span
