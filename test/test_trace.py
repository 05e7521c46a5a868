# SPDX-License-Identifier: Apache-2.0
"""A trace reads back as it was written, and its plans give the same masks."""

import json

import numpy as np
import pytest
import torch

from esam2_ros.core.models import build_model
from esam2_ros.core.plan import WindowGrid
from esam2_ros.core.plan import dense_plan
from esam2_ros.core.plan import idle_plan
from esam2_ros.core.prompts import Prompt
from esam2_ros.errors import ConfigError
from esam2_ros.errors import TraceError
from esam2_ros.policy.config import TrackerConfig
from esam2_ros.policy.events import EventKind
from esam2_ros.policy.events import TrackerEvent
from esam2_ros.policy.results import Timings
from esam2_ros.policy.routing import ReplayedRouter
from esam2_ros.policy.tracker import StreamingTracker
from esam2_ros.trace import TracedFrame
from esam2_ros.trace import TraceWriter
from esam2_ros.trace import plans_of
from esam2_ros.trace import read_trace

GRID = WindowGrid(3, 3, 96, 256)
FRAMES = [
    TracedFrame(0, None, idle_plan(GRID, 'exact'), (), Timings(total=0.5)),
    TracedFrame(
        1,
        1_700_000_000_123_456_789,
        dense_plan(GRID, 'paper', 'cut', keep=12),
        (
            TrackerEvent(EventKind.SCENE_CUT, 0, 31.5, 'the scene changed'),
            TrackerEvent(EventKind.TARGET_LOST, 3, 30.0, 'out of view for 30 frames'),
        ),
        Timings(1.0, 2.0, 3.0, 4.0, 11.0),
    ),
]


def written(path, frames=FRAMES):
    writer = TraceWriter(path)
    for frame in frames:
        writer.write(frame)
    writer.close()
    return path


def test_what_was_written_is_read(tmp_path):
    assert read_trace(written(tmp_path / 'a.jsonl')) == FRAMES
    lines = (tmp_path / 'a.jsonl').read_text().splitlines()
    assert [json.loads(line)['frame_index'] for line in lines] == [0, 1]
    assert json.loads(lines[1])['events'][0]['kind'] == 'SCENE_CUT'


def test_each_line_is_in_the_file_at_once(tmp_path):
    writer = TraceWriter(tmp_path / 'a')
    writer.write(FRAMES[0])
    assert read_trace(tmp_path / 'a') == FRAMES[:1]
    writer.close()


def replace(line, old, new):
    assert old in line
    return line.replace(old, new)


@pytest.mark.parametrize(
    ('damage', 'reason'),
    [
        (lambda line: line[: len(line) // 2], ''),
        (lambda line: '{}', "'frame_index' is missing"),
        (lambda line: '7', ''),
        (lambda line: '', ''),
        (lambda line: '\x00\xff', ''),
        (lambda line: replace(line, 'SCENE_CUT', 'PARTY'), "'PARTY' is missing or unknown"),
        (lambda line: replace(line, '"active"', '"passive"'), 'not a frame plan'),
        (lambda line: replace(line, '"total"', '"sum"'), 'sum'),
        (lambda line: replace(line, '"plan": {', '"plan": [], "other": {'), ''),
    ],
)
def test_a_damaged_line_is_named(tmp_path, damage, reason):
    path = written(tmp_path / 'a')
    first, second = path.read_text().splitlines()
    path.write_text('\n'.join([first, damage(second), first]) + '\n')
    with pytest.raises(TraceError, match='line 2: .*' + reason) as caught:
        read_trace(path)
    assert str(path) in str(caught.value)


def test_files_that_cannot_be_opened(tmp_path):
    with pytest.raises(TraceError, match='cannot be read'):
        read_trace(tmp_path / 'absent')
    with pytest.raises(TraceError, match='cannot be written'):
        TraceWriter(tmp_path / 'absent' / 'a')
    with pytest.raises(TraceError, match='cannot be written'):
        TraceWriter(tmp_path)


def test_a_full_disk_is_an_error(tmp_path):
    writer = TraceWriter('/dev/full')
    with pytest.raises(TraceError, match='cannot be written'):
        writer.write(FRAMES[1])


def film():
    noise = np.random.default_rng(5).integers(0, 60, (180, 240, 3), np.uint8)
    for index in range(7):
        frame = noise.copy()
        frame[60:110, 20 + 12 * index : 80 + 12 * index] += 150
        yield frame


def run(tracker):
    results = []
    for index, frame in enumerate(film()):
        results.append(tracker.step(frame, stamp=1000 + index))
        if index == 1:
            tracker.add(Prompt(box=(32, 60, 92, 110)))
    return results


def test_a_traced_run_is_replayed_with_the_same_masks(tmp_path):
    model = build_model('compact', 256, seed=3)
    config = TrackerConfig(mode='paper', monitor=True)
    first = run(StreamingTracker(model, config))
    path = written(tmp_path / 'a', [TracedFrame.of(result) for result in first])
    plans = plans_of(read_trace(path))
    assert len(plans) == 5
    replayed = StreamingTracker(model, config, router=ReplayedRouter(plans))
    for one, other in zip(first, run(replayed), strict=True):
        assert one.plan == other.plan
        for before, after in zip(one.targets, other.targets, strict=True):
            assert torch.equal(before.mask_logits, after.mask_logits)
    with pytest.raises(ConfigError, match='the log holds 5 plans'):
        replayed.step(next(film()))
