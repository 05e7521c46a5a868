# SPDX-License-Identifier: Apache-2.0
"""Numbers of a summary from made-up statistics."""

import json
from types import SimpleNamespace

import pytest

from esam2_ros.replay.summary import STAGES
from esam2_ros.replay.summary import Counts
from esam2_ros.replay.summary import ReplaySummary
from esam2_ros.replay.summary import StageTime
from esam2_ros.replay.summary import TargetSummary
from esam2_ros.replay.summary import mean_iou
from esam2_ros.replay.summary import stage_columns
from esam2_ros.replay.summary import stage_times
from esam2_ros.replay.summary import target_summaries

TRACKED, OCCLUDED, LOST, SUSPECT = range(4)


def frame(*targets):
    """The tracks of one frame: (id, label, state, score) each."""
    names = ('id', 'label', 'state', 'score')
    return SimpleNamespace(
        targets=[SimpleNamespace(**dict(zip(names, each, strict=True))) for each in targets]
    )


def test_stages_of_the_messages_and_round_trips():
    rows = [
        SimpleNamespace(**{name: 10.0 * place + step for place, name in enumerate(STAGES)})
        for step in range(5)
    ]
    columns = stage_columns(rows, [7.0, 9.0])
    assert list(columns) == [*STAGES, 'round_trip']
    assert columns['queue'] == [0.0, 1.0, 2.0, 3.0, 4.0]
    assert columns['encode'] == [30.0, 31.0, 32.0, 33.0, 34.0]
    times = stage_times(columns)
    assert times['encode'] == StageTime(p50=32.0, p95=pytest.approx(33.8))
    assert times['round_trip'] == StageTime(p50=8.0, p95=pytest.approx(8.9))


def test_stages_without_a_value_are_left_out():
    assert stage_times(stage_columns([], [])) == {}
    assert stage_times(stage_columns([], [3.0])) == {'round_trip': StageTime(3.0, 3.0)}


def test_targets():
    tracks = [
        frame(),
        frame((2, 'cup', TRACKED, 0.75)),
        frame((2, 'cup', SUSPECT, 0.25), (1, '', TRACKED, 0.5)),
        frame((2, 'cup', OCCLUDED, 0.0), (1, '', TRACKED, 1.0), (9, 'fly', LOST, 0.0)),
    ]
    found = target_summaries(tracks, {2: [0.5, 0.25], 1: [1.0]})
    assert found == [
        TargetSummary(1, '', 'TRACKED', 0.75, {'TRACKED': 2}, 1.0, 1),
        TargetSummary(
            2, 'cup', 'OCCLUDED', 0.5, {'TRACKED': 1, 'SUSPECT': 1, 'OCCLUDED': 1}, 0.375, 2
        ),
        # Never in sight and without truth: neither number is made up.
        TargetSummary(9, 'fly', 'LOST', None, {'LOST': 1}, None, 0),
    ]
    # Each target weighs the same, whatever the number of its frames.
    assert mean_iou(found) == pytest.approx((1.0 + 0.375) / 2)


def test_no_targets_and_no_truth():
    assert target_summaries([], {}) == []
    assert mean_iou([]) is None
    assert mean_iou(target_summaries([frame((1, '', TRACKED, 0.5))], {})) is None


def test_json_holds_every_field():
    summary = ReplaySummary(
        bag='clip',
        topic='/image',
        paced=False,
        rate=0.5,
        frames=Counts(sent=6, processed=4, dropped=2, restamped=1),
        seconds=1.5,
        stages_ms={'total': StageTime(10.0, 20.0)},
        targets=target_summaries([frame((1, 'cup', TRACKED, 0.5))], {1: [0.5]}),
        events={'TARGET_ADDED': 1},
        prompts=[],
        mean_iou=0.5,
        interrupted=False,
        node_exit_code=0,
        files={'sheet': 'out/contact_sheet.png'},
    )
    read = json.loads(json.dumps(summary.as_json()))
    assert read['frames'] == {'sent': 6, 'processed': 4, 'dropped': 2, 'restamped': 1}
    assert read['stages_ms'] == {'total': {'p50': 10.0, 'p95': 20.0}}
    assert read['targets'][0] == {
        'id': 1,
        'label': 'cup',
        'state': 'TRACKED',
        'score': 0.5,
        'states': {'TRACKED': 1},
        'mean_iou': 0.5,
        'scored_frames': 1,
    }
    assert (read['paced'], read['rate'], read['node_exit_code']) == (False, 0.5, 0)
