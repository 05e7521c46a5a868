# SPDX-License-Identifier: Apache-2.0
"""`esam2 scenes make`: clips that the scorer and the bag reader take as they are."""

import json

import numpy as np
import pytest

from esam2_ros.cli import main
from esam2_ros.evaluation.davis import find_clips
from esam2_ros.evaluation.davis import read_mask

SMALL = ['scenes', 'make', '--frames', '6', '--size', '96x64']


def test_plain_clips_have_palette_masks_and_events(tmp_path, capsys):
    out = tmp_path / 'clips'
    arguments = [*SMALL, '--out', str(out), '--events', 'cut,exit', '--clips', '2', '--json']
    assert main.run(arguments) == 0
    report = json.loads(capsys.readouterr().out)
    found = find_clips(out)
    assert [clip.name for clip in found] == [facts['name'] for facts in report['clips']]
    assert all(len(clip) == 6 and clip.size == (96, 64) for clip in found)
    for facts, clip in zip(report['clips'], found, strict=True):
        meta = json.loads((out / clip.name / 'meta.json').read_text())
        assert meta.items() <= facts.items()
        cut, back = meta['cuts']
        assert {event['frame'] for event in meta['events'] if event['kind'] == 'cut'} == {cut}
        masks = [read_mask(path) for path in clip.masks]
        assert 1 in masks[0]
        # Nothing of the first scene is seen between the cuts.
        assert not set(np.unique(masks[0])) & set(np.unique(masks[cut:back])) - {0}
        assert set(range(cut, back)) <= set(meta['absent'])


def test_davis_layout(tmp_path):
    assert main.run([*SMALL, '--out', str(tmp_path / 'clips'), '--layout', 'davis']) == 0
    assert [len(clip) for clip in find_clips(tmp_path / 'clips')] == [6]


def test_a_bag_holds_images_and_truth(tmp_path):
    from rosbags.rosbag2 import Reader

    out = tmp_path / 'bag'
    assert main.run([*SMALL, '--out', str(out), '--layout', 'bag']) == 0
    with Reader(out) as bag:
        assert {each.topic: each.msgcount for each in bag.connections} == {'/image': 6, '/truth': 6}


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['--events', 'cut,rain'], '--events has rain, allowed are blur, cut'),
        (['--size', 'large'], "--size is 'large', allowed is WIDTHxHEIGHT"),
        (['--layout', 'bag', '--clips', '2'], '--clips is 2, allowed is 1 for a bag'),
        (['--size', '16x16'], 'size is (16, 16), allowed is 32 px or more a side'),
    ],
)
def test_refusals(tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    assert main.run([*SMALL, '--out', 'clips', *arguments]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / 'clips').exists()


def test_clips_are_not_overwritten(tmp_path, capsys):
    arguments = [*SMALL, '--out', str(tmp_path / 'clips')]
    assert main.run(arguments) == 0
    assert main.run(arguments) == 2
    assert 'exists already and is not overwritten' in capsys.readouterr().err
