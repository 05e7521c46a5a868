# SPDX-License-Identifier: Apache-2.0
"""Clips on disk: read back by the scorer, ids and meta data kept."""

import json

import numpy as np
import pytest

from esam2_ros.errors import ConfigError
from esam2_ros.evaluation.davis import find_clips
from esam2_ros.evaluation.davis import read_mask
from esam2_ros.training.scenes import EventKind
from esam2_ros.training.scenes import SceneSpec
from esam2_ros.training.scenes import render
from esam2_ros.training.scenes import write


@pytest.fixture(scope='module')
def clip():
    return render(SceneSpec(size=(96, 64), frames=6, events=frozenset({EventKind.CUT})), 2)


@pytest.mark.parametrize('layout', [write.write_davis, write.write_plain])
def test_the_scorer_reads_what_was_written(tmp_path, clip, layout):
    layout(clip, tmp_path, 'one')
    (found,) = find_clips(tmp_path)
    assert (found.name, len(found), found.size) == ('one', 6, (96, 64))
    for number, path in enumerate(found.masks):
        assert (read_mask(path) == clip.masks[number]).all()
    with pytest.raises(ConfigError, match='exists already'):
        layout(clip, tmp_path, 'one')


def test_meta_names_cuts_and_absent_frames(tmp_path, clip):
    meta = json.loads((write.write_plain(clip, tmp_path, 'one') / 'meta.json').read_text())
    assert meta['cuts'] == list(clip.cuts())
    absent = np.flatnonzero(~(clip.masks == 1).any((1, 2)))
    assert meta['absent'] == absent.tolist()


def test_a_bag_holds_images_and_truth(tmp_path, clip):
    from rosbags.rosbag2 import Reader

    write.write_scene_bag(clip, tmp_path / 'bag', 'one')
    with Reader(tmp_path / 'bag') as bag:
        counts = {c.topic: c.msgcount for c in bag.connections}
    assert sorted(counts.values()) == [6, 6]
    assert '/image' in counts
