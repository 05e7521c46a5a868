# SPDX-License-Identifier: Apache-2.0
"""`esam2 replay` as a person runs it: a node of its own, over DDS, from a made bag."""

import json
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from made_bags import box
from made_bags import labels
from made_bags import picture
from made_bags import write_folder
from made_bags import write_messages

from esam2_ros.bags.frames import open_frames
from esam2_ros.bags.images import stamp_of
from esam2_ros.bags.read import BagReader
from esam2_ros.bags.schema import IMAGE
from esam2_ros.bags.schema import esam2_typestore
from esam2_ros.bags.write import BagOptions
from esam2_ros.bags.write import raw_cdr
from esam2_ros.bags.write import write_bag
from esam2_ros.replay.process import NodeOptions

FRAMES = 6
FPS = 10.0
BOX = 'box=' + ','.join(map(str, box(0)))
TRACKS = 'esam2_ros/msg/TrackArray'
TYPES = {
    '/labels': 'sensor_msgs/msg/Image',
    '/tracks': TRACKS,
    '/frame_stats': 'esam2_ros/msg/FrameStats',
    '/events': 'esam2_ros/msg/Event',
}


def run(*arguments):
    """Run `esam2 replay`; exit code, seconds, both outputs."""
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, '-m', 'esam2_ros', 'replay', *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
    )
    return SimpleNamespace(
        code=done.returncode,
        seconds=time.monotonic() - began,
        out=done.stdout,
        error=' '.join(done.stderr.split()),
    )


def untrained(out, *prompts):
    """Options of a small untrained model."""
    asked = [word for prompt in prompts for word in ('--prompt', prompt)]
    return ['--checkpoint', 'random', '--image-size', '256', '--out', out, '--json', *asked]


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """Frames, masks and a raw bag of both."""
    folder = tmp_path_factory.mktemp('replay')
    frames = write_folder(folder / 'frames', FRAMES, masks=folder / 'masks')
    write_bag(folder / 'bag', open_frames(frames, folder / 'masks'), BagOptions(fps=FPS))
    jpegs = write_folder(folder / 'jpegs', FRAMES, '.jpg')
    options = BagOptions(fps=FPS, storage='mcap', compression='jpeg', topic='/cam/compressed')
    write_bag(folder / 'jpeg_bag', open_frames(jpegs), options)
    return folder


@pytest.fixture(scope='module')
def paced(folder):
    """A paced replay of the raw bag with a box and, two frames later, clicks."""
    clicks = 'points=28,30,1;80,10,0 label="second one" at=2'
    return run(folder / 'bag', *untrained(folder / 'paced', f'{BOX} label=first', clicks))


def recorded(path):
    """Stamps of the messages of each topic, and the tracks."""
    stamps, tracks = {}, []
    with BagReader(path) as bag:
        assert {topic.name: topic.msgtype for topic in bag.topics} == TYPES
        for item in bag.messages(*TYPES):
            stamps.setdefault(item.topic, []).append(stamp_of(item.cdr))
            if item.topic == '/tracks':
                tracks.append(esam2_typestore().deserialize_cdr(item.cdr, TRACKS))
    return stamps, tracks


def stamps_of_the_bag():
    """Header stamps that the made bags have."""
    return [10**9 + index * round(10**9 / FPS) for index in range(FRAMES)]


def test_paced_by_the_node_nothing_is_dropped(paced, folder):
    assert paced.code == 0, paced.error
    summary = json.loads(paced.out)
    assert summary['frames'] == {'sent': 6, 'processed': 6, 'dropped': 0, 'restamped': 0}
    assert (summary['paced'], summary['rate'], summary['topic']) == (True, None, '/image')
    assert (summary['node_exit_code'], summary['interrupted']) == (0, False)
    assert summary['stages_ms'].keys() > {'encode', 'mask', 'total', 'round_trip'}
    assert 0 < summary['stages_ms']['total']['p50'] <= summary['stages_ms']['round_trip']['p95']
    assert json.loads((folder / 'paced' / 'summary.json').read_text()) == summary


def test_without_any_option(folder):
    """The packaged model, a frame, nobody to track: what the node is given must be readable."""
    done = run(folder / 'bag', '--frames', 1, '--no-video', '--out', folder / 'plain', '--json')
    assert done.code == 0, done.error
    assert json.loads(done.out)['frames']['processed'] == 1
    assert 'model' not in NodeOptions('/esam2').parameters()


def test_prompts_land_on_their_frames(paced):
    summary = json.loads(paced.out)
    prompts = [(each['frame'], each['target_id'], each['label']) for each in summary['prompts']]
    assert prompts == [(0, 1, 'first'), (2, 2, 'second one')]
    assert summary['events']['TARGET_ADDED'] == 2
    assert [each['label'] for each in summary['targets']] == ['first', 'second one']
    # The truth of the bag is scored after the frame of the prompt.
    assert [each['scored_frames'] for each in summary['targets']] == [5, 3]
    assert 0.0 <= summary['mean_iou'] <= 1.0


def test_what_the_node_published_is_recorded(paced, folder):
    stamps, tracks = recorded(folder / 'paced' / 'recorded')
    assert sorted(set(stamps['/frame_stats'])) == stamps_of_the_bag()
    assert sorted(set(stamps['/labels'])) == stamps_of_the_bag()
    assert sorted(set(stamps['/tracks'])) == stamps_of_the_bag()
    assert [target.id for target in tracks[-1].targets] == [1, 2]
    assert tracks[-1].header.frame_id == 'camera'


def test_pictures(paced, folder):
    sheet = cv2.imread(str(folder / 'paced' / 'contact_sheet.png'))
    # Two rows of four tiles, 480 wide with 4 between them, 96x64 pictures enlarged five times.
    assert sheet.shape == (2 * 320 + 4, 4 * 480 + 3 * 4, 3)
    assert len(np.unique(sheet[:320, :480].reshape(-1, 3), axis=0)) > 10
    video = cv2.VideoCapture(str(folder / 'paced' / 'overlay.mp4'))
    assert video.get(cv2.CAP_PROP_FPS) == pytest.approx(FPS)
    shown = 0
    while video.read()[0]:
        shown += 1
    assert shown == FRAMES


def test_earlier_results_are_not_overwritten(paced, folder):
    before = (folder / 'paced' / 'summary.json').read_bytes()
    done = run(folder / 'bag', *untrained(folder / 'paced'))
    assert (done.code, done.out) == (2, '')
    assert 'recorded exists already; name another folder, or replace it with --force' in done.error
    assert (folder / 'paced' / 'summary.json').read_bytes() == before


def test_a_mask_on_compressed_images_at_a_rate(folder):
    mask = folder / 'the mask.png'
    cv2.imwrite(str(mask), labels(1) * 255)
    prompt = f'mask="{mask}" at=1 label=m'
    out = folder / 'rate'
    more = ['--rate', '0.5', '--no-video', '--storage', 'mcap', '--truth', folder / 'masks']
    done = run(folder / 'jpeg_bag', *untrained(out, prompt), *more)
    assert done.code == 0, done.error
    summary = json.loads(done.out)
    frames = summary['frames']
    assert (summary['paced'], summary['rate']) == (False, 0.5)
    assert frames['sent'] == FRAMES
    assert frames['processed'] + frames['dropped'] == FRAMES
    # The first image, that of the prompt and the last are waited for.
    assert frames['processed'] >= 3
    # Five gaps of 0.1 s at half the speed.
    assert summary['seconds'] > 1.0
    assert [(each['frame'], each['label']) for each in summary['prompts']] == [(1, 'm')]
    assert summary['targets'][0]['scored_frames'] == frames['processed'] - 2
    stamps, _ = recorded(out / 'recorded')
    assert set(stamps['/tracks']) <= set(stamps_of_the_bag())
    assert not (out / 'overlay.mp4').exists()
    assert (out / 'contact_sheet.png').stat().st_size > 1000


@pytest.fixture(scope='module')
def failures(folder):
    """Replays that fail, at the same time, since each mostly waits."""
    images = [(10**9 + index, picture(index)[: 64 - 2 * index]) for index in range(2)]
    cdrs = [(stamp, raw_cdr(image, 'rgb8', stamp, '')) for stamp, image in images]
    shrinking = [('/image', IMAGE, stamp, cdr) for stamp, cdr in cdrs]
    write_messages(folder / 'shrinking', shrinking)
    small = ['--checkpoint', 'random', '--image-size', '256']
    cases = {
        'checkpoint': ['bag', '--checkpoint', folder / 'gone.pt', '--prompt', BOX],
        'image size': ['bag', '--checkpoint', 'random', '--image-size', '100'],
        'prompt': ['bag', *small, '--prompt', 'box=500,5,600,9'],
        'shrinking bag': ['shrinking', *small],
    }
    with ThreadPoolExecutor() as pool:
        futures = {
            name: pool.submit(run, folder / bag, *case, '--out', folder / name)
            for name, (bag, *case) in cases.items()
        }
    return {name: future.result() for name, future in futures.items()}


def test_a_node_that_cannot_be_configured_ends_the_replay_at_once(failures, folder):
    done = failures['checkpoint']
    assert (done.code, done.out) == (1, '')
    log = folder / 'checkpoint' / 'node.log'
    assert f'the node cannot be configured; the end of {log}:' in done.error
    assert f'cannot be configured: {folder}/gone.pt: no such file' in done.error
    # Far from the 120 s that a silent node is given.
    assert done.seconds < 100


def test_a_node_that_ends_is_noticed_at_once(failures):
    done = failures['image size']
    assert (done.code, done.out) == (1, '')
    assert 'the node ended with exit code 2; the end of' in done.error
    assert 'model.image_size' in done.error
    assert done.seconds < 100


def test_a_prompt_that_the_node_refuses(failures):
    done = failures['prompt']
    assert (done.code, done.out) == (2, '')
    assert 'the node refused the prompt on frame 0: ' in done.error
    assert '500' in done.error


def test_images_that_change_their_size(failures):
    done = failures['shrinking bag']
    assert (done.code, done.out) == (2, '')
    message = 'message 1 on /image is 96x62; allowed: 96x64, the size of the first image'
    assert message in done.error


def test_ctrl_c_ends_the_playing_and_not_the_report(folder, tmp_path):
    # Ten seconds between two images: time enough to interrupt.
    arguments = [folder / 'bag', *untrained(tmp_path, BOX), '--rate', '0.01']
    process = subprocess.Popen(
        [sys.executable, '-m', 'esam2_ros', 'replay', *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    end = time.monotonic() + 60
    while ' ready after ' not in read_text(tmp_path / 'node.log'):
        assert time.monotonic() < end, 'the node did not get ready'
        time.sleep(0.1)
    time.sleep(6.0)
    process.send_signal(signal.SIGINT)
    out, error = process.communicate(timeout=60)
    assert process.returncode == 0, error
    summary = json.loads(out)
    assert (summary['interrupted'], summary['node_exit_code']) == (True, 0)
    assert 1 <= summary['frames']['processed'] <= summary['frames']['sent'] < FRAMES
    stamps, _ = recorded(tmp_path / 'recorded')
    assert len(stamps['/frame_stats']) == summary['frames']['processed']


def read_text(path):
    """Text of a file, empty while it is not there."""
    return path.read_text() if path.exists() else ''
