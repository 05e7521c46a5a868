# SPDX-License-Identifier: Apache-2.0
"""Event scores against numbers made by hand."""

import json
from dataclasses import replace

import numpy as np
import pytest

from esam2_ros.evaluation.event_clips import WATCHED
from esam2_ros.evaluation.event_clips import EventClass
from esam2_ros.evaluation.event_clips import EventClip
from esam2_ros.evaluation.event_scores import EventScore
from esam2_ros.evaluation.event_scores import EventTally
from esam2_ros.evaluation.event_scores import pool
from esam2_ros.evaluation.scores import ScoreError
from esam2_ros.evaluation.segmenter import Segmentation

ONSET, AFTER = 2, 4
FRAMES = AFTER + WATCHED + 1
LEFT, RIGHT = np.s_[10:20, 5:25], np.s_[10:20, 35:55]


def squares(*places):
    """A label map with the first place as the target, the second as another instance."""
    labels = np.zeros((30, 60), np.uint8)
    for ident, place in enumerate(places, start=1):
        if place is not None:
            labels[place] = ident
    return labels


def made_clip(back=True):
    """The target on the left, another instance on the right; away in frames 2 and 3."""
    masks = np.stack([squares(LEFT, RIGHT)] * FRAMES)
    away = slice(ONSET, AFTER if back else None)
    masks[away][masks[away] == 1] = 0
    frames = np.zeros((*masks.shape, 3), np.uint8)
    return EventClip(EventClass.CUT_BACK, 0, frames, masks, ONSET, AFTER)


def scored(clip, answers):
    """The score of label maps, {frame: map}; the truth where none is given."""
    tally = EventTally(clip)
    for frame in range(len(clip)):
        labels = answers.get(frame, np.where(clip.masks[frame] == 1, 1, 0).astype(np.uint8))
        tally.add(Segmentation(labels, 0.25 if frame else 0.0), 10.0 if frame else 500.0)
    return tally.score()


def test_a_perfect_mode():
    score = scored(made_clip(), {})
    assert (score.jf, score.jf_after) == (1, {1: 1, 5: 1, 30: 1})
    assert (score.recovery, score.comes_back, score.swaps) == (0, True, 0)
    assert (score.absent, score.false_masks) == (2, 0)
    # The prompted frame is neither timed nor counted.
    assert (score.timed_frames, score.ms_per_frame, score.active) == (FRAMES - 1, 10, 0.25)


def test_recovery_masks_while_absent_and_the_mean():
    nothing, there = squares(), squares(LEFT)
    score = scored(made_clip(), {2: there, 4: nothing, 5: nothing, 6: nothing})
    assert (score.recovery, score.absent, score.false_masks, score.swaps) == (3, 2, 1, 0)
    assert score.jf_after == {1: 0, 5: 1, 30: 1}
    assert score.jf == pytest.approx(1 - 4 / (FRAMES - 1))


def test_a_target_that_is_lost_later_is_not_taken_for_recovered():
    held = {frame: squares() for frame in range(AFTER + 6, AFTER + 10)}
    assert scored(made_clip(), held).recovery == 4
    held = {frame: squares() for frame in range(AFTER + 6, FRAMES)}
    assert scored(made_clip(), held).recovery is None


def test_never_found_again_and_never_seen_again():
    lost = scored(made_clip(), {frame: squares() for frame in range(AFTER, FRAMES)})
    assert (lost.comes_back, lost.recovery) == (True, None)
    gone = scored(made_clip(back=False), {})
    assert (gone.comes_back, gone.recovery, gone.absent) == (False, None, FRAMES - 2)
    assert gone.jf == 1


@pytest.mark.parametrize(
    ('answers', 'swaps'),
    [
        # On another instance while the target is out of sight is a false mask, no swap.
        ({2: RIGHT, 3: RIGHT}, 0),
        # Kept when it is back: one swap, however long.
        ({3: RIGHT, 4: RIGHT, 5: RIGHT}, 1),
        ({5: RIGHT, 8: RIGHT, 9: RIGHT}, 2),
        # More of its own than of the other, and background alone.
        ({6: np.s_[10:20, 5:45]}, 0),
        ({6: np.s_[10:20, 20:45]}, 1),
        ({6: np.s_[0:5, 0:60]}, 0),
    ],
)
def test_swaps(answers, swaps):
    maps = {frame: squares(place) for frame, place in answers.items()}
    assert scored(made_clip(), maps).swaps == swaps


def test_frames_missing_or_too_many():
    clip = made_clip()
    tally = EventTally(clip)
    with pytest.raises(ScoreError, match=f'0 of {FRAMES} frames were scored'):
        tally.score()
    for mask in clip.masks:
        tally.add(Segmentation(mask), 1.0)
    with pytest.raises(ScoreError, match='cut_back_000 has 35 frames and all are scored'):
        tally.add(Segmentation(clip.masks[0]), 1.0)
    assert tally.score().active is None


def test_scores_survive_json():
    score = scored(made_clip(), {5: squares(RIGHT)})
    assert EventScore.from_json(json.loads(json.dumps(score.to_json()))) == score


def test_pooling_counts_the_lost_as_the_longest():
    base = scored(made_clip(), {})
    rows = [replace(base, recovery=n, swaps=1, false_masks=1) for n in (0, 4, None)]
    rows += [replace(base, comes_back=False, recovery=None, absent=0, false_masks=0, jf=0.5)]
    pooled = pool(rows)
    assert (pooled.recovery, pooled.never_recovered, pooled.returning) == (4, 1, 3)
    assert (pooled.clips, pooled.swaps, pooled.false_mask_rate) == (4, 3, 0.5)
    assert pooled.jf == pytest.approx(3.5 / 4)
    assert pool([replace(base, recovery=None)]).recovery is None
    assert pool([replace(base, comes_back=False)]).recovery is None
    assert pool([replace(base, absent=0)]).false_mask_rate is None
    with pytest.raises(ScoreError, match='no clip'):
        pool([])
