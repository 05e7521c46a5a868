# SPDX-License-Identifier: Apache-2.0
"""`esam2 bench monitor`: how cuts are counted, the truth of made clips, real clips, the report."""

import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest
from monitor_film import view
from monitor_film import wall
from PIL import Image

from esam2_ros.bench.monitor import CutScore
from esam2_ros.bench.monitor import judge
from esam2_ros.bench.monitor import run
from esam2_ros.bench.monitor_clips import Truth
from esam2_ros.bench.monitor_clips import event_clips
from esam2_ros.bench.monitor_real import real_clips
from esam2_ros.bench.monitor_references import reference_cuts
from esam2_ros.bench.monitor_report import missed_goals
from esam2_ros.cli import main
from esam2_ros.evaluation.davis import DatasetError
from esam2_ros.policy.monitor import MonitorConfig
from esam2_ros.policy.monitor import MotionClass


@pytest.mark.parametrize(
    ('seen', 'truth', 'recall', 'precision', 'delay', 'false_per_500'),
    [
        ([10, 20], [10, 20], 1.0, 1.0, 0.0, None),
        ([10], [10, 20], 0.5, 1.0, 0.0, None),
        ([10, 15, 20], [10, 20], 1.0, 2 / 3, 0.0, None),
        ([9, 12], [10], 1.0, 0.5, 2.0, None),  # one frame early is false
        ([16], [10], 0.0, 0.0, None, None),  # too late
        ([12], [10, 12], 0.5, 1.0, 0.0, None),  # belongs to the second
        ([7], [], None, 0.0, None, 10.0),
        ([], [], None, None, None, 0.0),
    ],
)
def test_counting_cuts(seen, truth, recall, precision, delay, false_per_500):
    score = CutScore()
    score.add(seen, truth, 50)
    assert score.recall == recall
    assert score.precision == precision
    assert score.delay == delay
    assert score.false_per_500 == false_per_500


SMALL = ((240, 136), (192, 192))


@pytest.fixture(scope='module')
def made():
    """The first six themes, with and without cuts."""
    return list(event_clips(12, 4, 14, sizes=SMALL))


def test_the_truth_of_made_clips(made):
    assert {each for clip in made for each in clip.truth} >= {
        Truth.CUT,
        Truth.FLASH,
        Truth.EXPOSURE,
        Truth.SHAKE,
        Truth.FAST,
    }
    for clip in made:
        assert len(clip.truth) == len(clip.frames) == len(clip.target)
        labelled = [t for t, each in enumerate(clip.truth) if each is Truth.CUT]
        assert labelled == list(clip.cuts)
        assert len(clip.cuts) == (2 if clip.name.endswith('+cut') else 0)
        brightness = clip.frames.mean((1, 2, 3))
        for t, each in enumerate(clip.truth):
            if each is Truth.FLASH:
                assert abs(brightness[t] - brightness[t - 1]) > 10
                assert abs(brightness[t + 1] - brightness[t]) > 10


def test_made_clips_repeat(made):
    again = list(event_clips(2, 4, 14, sizes=SMALL))
    assert all((one.frames == two.frames).all() for one, two in zip(made, again, strict=False))
    (other,) = event_clips(1, 5, 14, sizes=SMALL)
    assert (other.frames != made[0].frames).any()


def test_the_monitor_meets_its_goals_on_a_few_made_clips(made):
    score = run(made, MonitorConfig(), references=False)
    assert (score.clips, score.frames) == (len(made), 14 * len(made))
    assert (score.cut.recall, score.cut.precision, score.cut.delay) == (1, 1, 0)
    assert score.cut.truths >= 8
    assert sum(score.confusion.values()) == 13 * len(made)
    assert score.confusion['cut', 'CUT'] == score.cut.truths
    assert score.confusion['flash', 'FLASH'] > 0
    assert 0 < score.ms_per_frame < 30
    # A monitor that calls everything a cut, or nothing, misses them.
    blind = run(made[:3], MonitorConfig(cut_difference=255), references=False)
    assert any(
        'recall is 0.000, needed: at least 0.95' in each for each in missed_goals(blind, False)
    )
    keen = MonitorConfig(cut_difference=0, cut_likeness=2, cut_palette=1)
    jumpy = run(made[:3], keen, references=False)
    assert any(each.startswith('precision is ') for each in missed_goals(jumpy, False))


def save(folder, frames, meta):
    (folder / 'frames').mkdir(parents=True)
    for number, frame in enumerate(frames):
        Image.fromarray(frame).save(folder / 'frames' / f'{number:05d}.png')
    if meta is not None:
        (folder / 'meta.json').write_text(json.dumps(meta))


@pytest.fixture
def root(tmp_path):
    here, there = wall(1), wall(2)
    calm = [view(here, 3 * t, size=(160, 120)) for t in range(8)]
    save(tmp_path / 'calm', calm, {'cuts': []})
    save(
        tmp_path / 'cut',
        [*calm[:4], *[view(there, size=(160, 120))] * 3, calm[4]],
        {'cuts': [4, 7]},
    )
    save(tmp_path / 'unknown', calm, {})
    save(tmp_path / 'bare', calm, None)
    return tmp_path


def test_real_clips(root, caplog):
    clips = {clip.name: clip for clip in real_clips(root)}
    assert {name: clip.cuts for name, clip in clips.items()} == {'calm': (), 'cut': (4, 7)}
    assert clips['cut'].frames.shape == (8, 120, 160, 3)
    assert clips['cut'].target is None
    assert 'bare: no meta.json, left out' in caplog.text
    assert [clip.name for clip in real_clips(root / 'cut')] == ['cut']


@pytest.mark.parametrize(
    ('meta', 'message'),
    [
        ('[1, 2', 'meta.json: not a JSON object'),
        ('[]', 'meta.json: not a JSON object'),
        ('{"cuts": [0]}', r'cuts is \[0\]; allowed: a list of frame numbers above 0'),
        ('{"cuts": "4"}', "cuts is '4'"),
        ('{"cuts": [8]}', 'a cut at 8, but only 8 frames'),
        ('{}', "no clips; needed: <clip>/frames and meta.json with 'cuts'"),
    ],
)
def test_bad_labels_are_refused(root, meta, message):
    (root / 'cut' / 'meta.json').write_text(meta)
    with pytest.raises(DatasetError, match=message):
        list(real_clips(root / 'cut'))


def test_references_see_frames_of_any_size(made):
    pytest.importorskip('scenedetect')
    jump = np.stack([view(wall(1))] * 6 + [view(wall(2))] * 6)
    assert reference_cuts('ContentDetector', jump) == (6,)
    assert reference_cuts('AdaptiveDetector', jump) == (6,)
    score = run(made[:2], MonitorConfig())
    assert set(score.references) == {'ContentDetector', 'AdaptiveDetector'}
    assert {each.truths for each in score.references.values()} == {score.cut.truths}


def test_json_and_table_over_real_clips(root, capsys):
    pytest.importorskip('scenedetect')
    assert main.run(['bench', 'monitor', str(root), '--json']) == 0
    report = json.loads(capsys.readouterr().out)
    assert report['cut'] == {
        'recall': 1.0,
        'precision': 1.0,
        'delay_frames': 0.0,
        'cuts': 2,
        'false': 0,
    }
    assert report['false_cuts_per_500'] == 0
    assert report['ms_per_frame'] > 0
    assert report['missed_goals'] == []
    for name in ('ContentDetector', 'AdaptiveDetector'):
        assert {'recall', 'precision'} <= report['references'][name].keys()
    assert main.run(['bench', 'monitor', str(root), '--no-references']) == 0
    assert '2 cuts in 16 frames' in capsys.readouterr().out


def test_a_missed_goal_is_exit_code_1(root, capsys):
    (root / 'cut' / 'meta.json').write_text('{"cuts": [2, 4, 7]}')
    assert main.run(['bench', 'monitor', str(root), '--no-references']) == 1
    assert 'missed: recall is 0.667, needed: at least 1' in capsys.readouterr().err


def test_without_scenedetect_the_refusal_says_what_to_install(root, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, 'scenedetect', None)
    assert main.run(['bench', 'monitor', str(root)]) == 2
    message = capsys.readouterr().err
    assert 'requirements-dev.txt' in message
    assert '--no-references' in message


@pytest.mark.skipif('ESAM2_DATA' not in os.environ, reason='ESAM2_DATA names the real clips')
def test_real_cuts_are_seen_on_their_frames():
    folder = Path(os.environ['ESAM2_DATA']) / 'sequences'
    for name in ('cut_bear-bus-bear', 'cut_tennis-train-tennis'):
        (clip,) = real_clips(folder / name)
        seen = [t for t, each in enumerate(judge(clip, MonitorConfig())) if each is MotionClass.CUT]
        assert seen == list(clip.cuts)
