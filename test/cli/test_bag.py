# SPDX-License-Identifier: Apache-2.0
"""`esam2 bag make`: the report, and refusals with exit code 2."""

import json

import cv2
import numpy as np
import pytest
from made_bags import write_folder

from esam2_ros.bags.read import BagReader
from esam2_ros.bags.read import Topic
from esam2_ros.bags.schema import COMPRESSED_IMAGE
from esam2_ros.bags.schema import IMAGE
from esam2_ros.cli import main


@pytest.fixture
def folder(tmp_path):
    """Three frames and their masks."""
    return write_folder(tmp_path / 'frames', 3, masks=tmp_path / 'masks')


def test_json_and_the_bag(folder, tmp_path, capsys):
    out = tmp_path / 'bag'
    arguments = ['bag', 'make', str(folder), str(out), '--fps', '12', '--topic', '/cam/image']
    arguments += ['--masks', str(tmp_path / 'masks'), '--storage', 'mcap', '--compressed', 'png']
    assert main.run([*arguments, '--json']) == 0
    assert json.loads(capsys.readouterr().out) == {
        'path': str(out),
        'frames': 3,
        'image_size': [96, 64],
        'truth_frames': 3,
        'topic': '/cam/image',
        'fps': 12.0,
        'storage': 'mcap',
    }
    with BagReader(out) as bag:
        assert bag.topics == (Topic('/cam/image', COMPRESSED_IMAGE, 3), Topic('/truth', IMAGE, 3))


def test_line(folder, tmp_path, capsys):
    assert main.run(['bag', 'make', str(folder), str(tmp_path / 'bag')]) == 0
    shown = capsys.readouterr()
    assert shown.out == f'{tmp_path}/bag: 3 frames of 96x64 on /image\n'
    assert '3/3' in shown.err


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['gone', 'bag'], 'gone does not exist; allowed: a folder of pictures or a video file'),
        (['frames', 'frames'], 'frames exists already and is not overwritten'),
        (['frames', 'bag', '--fps', '-1'], 'fps is -1.0; allowed: above 0 and up to 1000'),
        (['frames', 'bag', '--fps', 'fast'], "Invalid value for '--fps'"),
        (['frames', 'bag', '--storage', 'zip'], "storage is 'zip'; allowed: sqlite3, mcap"),
        (['frames', 'bag', '--compressed', 'gif'], "compression is 'gif'; allowed: none, jpeg"),
        (['frames', 'bag', '--masks', 'gone'], 'gone is not a folder'),
        (['mixed', 'bag'], '9.png is 80x50; allowed: 96x64, the size of the first frame'),
        (['frames'], "Missing argument 'out'"),
    ],
)
def test_refusals_are_one_line_and_code_2(
    folder, tmp_path, monkeypatch, capsys, arguments, message
):
    monkeypatch.chdir(tmp_path)
    write_folder(tmp_path / 'mixed', 1)
    cv2.imwrite('mixed/9.png', np.zeros((50, 80, 3), np.uint8))
    assert main.run(['bag', 'make', *arguments]) == 2
    shown = capsys.readouterr()
    assert shown.out == ''
    assert message in shown.err.splitlines()[-1]
    assert not (tmp_path / 'bag').exists()
