# SPDX-License-Identifier: Apache-2.0
"""The training curve: logs joined by step, drawn to a picture."""

import json

import pytest

from esam2_ros.errors import ConfigError
from esam2_ros.training.plot import plot
from esam2_ros.training.plot import read_logs

ROW = {'minutes': 1.0, 'size': 64, 'frames': 1, 'loss': 2.0, 'prompt_iou': 0.3, 'track_iou': 0.0}
MARKS = {name: {'prompt_iou': 0.5, 'track_iou': 0.4} for name in ('box', 'mask')}


def test_a_later_log_wins_where_two_overlap(tmp_path):
    first = [{**ROW, 'step': step, 'validation': {}} for step in (50, 100)]
    second = [{**ROW, 'step': step, 'frames': 3, 'validation': MARKS} for step in (100, 150)]
    for name, rows in (('a', first), ('b', second)):
        (tmp_path / name).write_text(''.join(json.dumps(row) + '\n' for row in rows))
    rows = read_logs([tmp_path / 'a', tmp_path / 'b'])
    assert [(row['step'], row['frames']) for row in rows] == [(50, 1), (100, 3), (150, 3)]
    plot(rows, tmp_path / 'images' / 'curve.png')
    assert (tmp_path / 'images' / 'curve.png').read_bytes().startswith(b'\x89PNG')


@pytest.mark.parametrize('text', ['no json', '[]\n', '{"loss": 1}\n', ''])
def test_what_is_no_log_is_refused(tmp_path, text):
    (tmp_path / 'log.jsonl').write_text(text)
    with pytest.raises(ConfigError, match=r'log\.jsonl'):
        read_logs([tmp_path / 'log.jsonl'])
