# SPDX-License-Identifier: Apache-2.0
"""`esam2 replay` refuses what cannot be replayed before any node starts: exit code 2."""

import subprocess
import sys

import pytest
from made_bags import STRING
from made_bags import text_cdr
from made_bags import write_folder
from made_bags import write_messages

from esam2_ros.bags.frames import open_frames
from esam2_ros.bags.write import write_bag
from esam2_ros.cli import main


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ([], "Missing argument 'bag'"),
        (['bag', '--prompt', 'box=1,2,3'], "'1,2,3' is not four finite numbers x0,y0,x1,y1"),
        (['bag', '--prompt', 'mask=gone.png'], 'gone.png cannot be read as a mask'),
        (['bag', '--rate', '0'], '--rate 0: above 0, below 10000, and not with --paced'),
        (['bag', '--rate', 'nan'], '--rate nan: above 0'),
        (['bag', '--rate', '1', '--paced'], '--rate 1: above 0, below 10000, and not with --paced'),
        (['bag', '--params-file', 'gone.yaml'], '--params-file gone.yaml is not a file'),
        (['bag', '--frames', '0'], "Invalid value for '--frames'"),
        (['bag', '--timeout', '0.5'], "Invalid value for '--timeout'"),
    ],
)
def test_wrong_options(arguments, message, capsys):
    assert main.run(['replay', *arguments]) == 2
    shown = capsys.readouterr()
    assert shown.out == ''
    assert message in shown.err


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """A good bag of 3 images, one without any, a damaged one, and a text file."""
    folder = tmp_path_factory.mktemp('bags')
    write_bag(folder / 'good', open_frames(write_folder(folder / 'frames', 3)))
    write_messages(folder / 'talk', [('/talk', STRING, 1, text_cdr('hello'))])
    write_bag(folder / 'damaged', open_frames(folder / 'frames'))
    (folder / 'damaged' / 'damaged.db3').write_bytes(b'damaged')
    (folder / 'notes.txt').write_text('notes')
    write_folder(folder / 'few', 1)
    return folder


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['gone'], 'bag gone does not exist'),
        (['notes.txt'], 'notes.txt is not a rosbag2; allowed: a folder with metadata.yaml'),
        (['damaged'], 'bag damaged '),
        (['talk'], 'bag talk has no images; its topics: /talk (std_msgs/msg/String, 1)'),
        (['good', '--topic', '/up'], 'bag good has no topic /up; its topics: /image'),
        (['good', '--prompt', 'box=1,2,3,4 at=3'], 'prompt at=3; allowed: 0 to 2'),
        (['good', '--prompt', 'box=1,2,3,4 at=1', '--frames', '1'], 'at=1; allowed: 0 to 0'),
        (['good', '--truth', 'few'], 'few holds 1 masks; allowed: one PNG a frame, 3'),
        (['good', '--out', 'notes.txt'], 'notes.txt cannot be a folder for the results'),
        (['good', '--storage', 'zip'], "storage is 'zip'; allowed: sqlite3, mcap"),
    ],
)
def test_bags_and_folders_that_cannot_be_used(folder, tmp_path, arguments, message):
    # A process of its own: rclpy may start the program anew to set its library path.
    out = [] if '--out' in arguments else ['--out', str(tmp_path / 'out')]
    done = subprocess.run(
        [sys.executable, '-m', 'esam2_ros', 'replay', *arguments, *out],
        capture_output=True,
        text=True,
        cwd=folder,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (2, '')
    assert message in ' '.join(done.stderr.split())
    assert 'Traceback' not in done.stderr
    assert not (tmp_path / 'out').exists()
