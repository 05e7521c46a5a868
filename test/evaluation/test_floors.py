# SPDX-License-Identifier: Apache-2.0
"""The floors do what their names say."""

import os
from pathlib import Path

import pytest
from square_clips import CHANGING
from square_clips import MOVING
from square_clips import paint
from square_clips import squares

from esam2_ros.core.prompts import Prompt
from esam2_ros.errors import PromptError
from esam2_ros.evaluation.davis import find_clips
from esam2_ros.evaluation.floors import CopyFirst
from esam2_ros.evaluation.floors import FlowWarp
from esam2_ros.evaluation.modes import FLOORS
from esam2_ros.evaluation.modes import pick_modes
from esam2_ros.evaluation.results import combine
from esam2_ros.evaluation.run import Evaluation
from esam2_ros.evaluation.segmenter import PromptKind


def masks(labels, *targets):
    return {target: Prompt(mask=labels == target) for target in targets}


def test_copy_first_keeps_masks_and_adds_new_targets():
    floor = CopyFirst()
    assert not floor.step(paint(CHANGING[0]), {}).labels.any()
    first = floor.step(paint(CHANGING[0]), masks(CHANGING[0], 1))
    assert (first.labels == CHANGING[0]).all()
    both = floor.step(paint(CHANGING[2]), masks(CHANGING[2], 2))
    assert (both.labels == CHANGING[2]).all()
    # The first target has left; a copy knows nothing of it. What was given out stays as it was.
    assert (floor.step(paint(CHANGING[3]), {}).labels == CHANGING[2]).all()
    assert (first.labels == CHANGING[0]).all()


def test_flow_warp_follows_what_moves_and_keeps_what_stands():
    places = [((1, 20 + 2 * step, 30), (2, 60, 70)) for step in range(5)]
    truths = [squares(*each) for each in places]
    floor = FlowWarp()
    floor.step(paint(truths[0]), masks(truths[0], 1, 2))
    for truth in truths[1:]:
        labels = floor.step(paint(truth), {}).labels
    overlap = {target: ((labels == target) & (truths[-1] == target)).sum() for target in (1, 2)}
    assert overlap[1] >= 350  # of 400; without motion 240 would be left
    assert overlap[2] == 400


@pytest.mark.parametrize('floor', [CopyFirst, FlowWarp])
def test_a_floor_refuses_other_prompts(floor):
    with pytest.raises(PromptError, match='target 4 has no mask'):
        floor().step(paint(MOVING[0]), {4: Prompt(box=(0, 0, 5, 5))})


def real_clips() -> Path | None:
    data = os.environ.get('ESAM2_DATA')
    folder = Path(data) / 'sequences' if data and (Path(data) / 'sequences').is_dir() else data
    return Path(folder) if folder else None


@pytest.mark.skipif(real_clips() is None, reason='ESAM2_DATA names no folder of annotated clips')
def test_floors_on_real_clips():
    clips = find_clips(real_clips(), ['soccerball', 'train'])
    setup = pytest.fail  # a floor never asks for the model
    scores = Evaluation(pick_modes(FLOORS), PromptKind.BOX, setup).run(clips, lambda *_: None)
    floors = {name: combine(rows.values()).jf for name, rows in scores.items()}
    assert floors['copy_first'] == pytest.approx(0.1424, abs=0.001)
    # Optical flow differs a little from one build of OpenCV to the next.
    assert floors['flow_warp'] == pytest.approx(0.363, abs=0.02)
