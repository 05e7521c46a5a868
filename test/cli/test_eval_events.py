# SPDX-License-Identifier: Apache-2.0
"""`esam2 eval events`: fields, table, files, and refusals with exit code 2."""

import json

import pytest

from esam2_ros.cli import main
from esam2_ros.evaluation.event_clips import EventClass
from esam2_ros.evaluation.event_report import to_json
from esam2_ros.evaluation.event_scores import MOMENTS
from esam2_ros.evaluation.event_scores import EventScore
from esam2_ros.evaluation.events import EventJob

FLOOR = ['--modes', 'copy_first', '--classes', 'flash', '--clips', '1']


def test_json_is_one_object_and_the_files_are_there(tmp_path, capsys):
    folders = [str(tmp_path / name) for name in ('out', 'sheets')]
    arguments = ['eval', 'events', '--json', *FLOOR, '--out', folders[0], '--sheet', folders[1]]
    assert main.run(arguments) == 0
    report = json.loads(capsys.readouterr().out)
    assert {'preset', 'model', 'image_size', 'device', 'prompt', 'seed', 'clips'} <= report.keys()
    assert (report['image_size'], report['prompt'], report['clips']) == (512, 'mask', 1)
    score = report['classes']['flash']['copy_first']
    assert {
        'jf',
        'jf_after',
        'recovery',
        'swaps',
        'false_mask_rate',
        'ms_per_frame',
    } <= score.keys()
    assert 0.3 < score['jf'] <= 1
    assert score['active_realised'] is None
    assert (tmp_path / 'sheets' / 'flash.png').is_file()
    kept = tmp_path / 'out' / report['preset'] / 'events.json'
    assert json.loads(kept.read_text()) == report
    # The table of the finished run: nothing is rendered again.
    assert main.run(['eval', 'events', *FLOOR, '--out', folders[0], '--resume']) == 0
    out = capsys.readouterr().out
    row = next(line for line in out.splitlines() if 'flash' in line)
    assert row.split()[:3] == ['flash', 'copy_first', f'{score["jf"]:.3f}']


def scored(jf):
    return EventScore(jf, dict.fromkeys(MOMENTS, jf), True, 0, 0, 0, 0, 40, 10.0, 0.5)


@pytest.fixture
def finished(monkeypatch):
    """A run in which the monitored mode is 4 points behind on pan, and ahead when calm."""
    rows = {EventClass.CALM: (0.8, 0.9), EventClass.PAN: (0.8, 0.76)}
    scores = {
        kind: {'exact': [scored(exact)], 'paper_monitor': [scored(monitored)]}
        for kind, (exact, monitored) in rows.items()
    }
    monkeypatch.setattr(EventJob, 'run', lambda *_: (scores, to_json(scores, {})))
    return ['eval', 'events', '--modes', 'exact,paper_monitor', '--clips', '1']


@pytest.mark.parametrize(
    ('within', 'code', 'told'),
    [
        ([], 0, ''),
        (['--within', '4'], 0, ''),
        (['--within', '1'], 1, 'paper_monitor is more than 1 points behind exact on: pan (4.0)\n'),
    ],
)
@pytest.mark.parametrize('form', [[], ['--json'], ['--markdown']])
def test_a_class_that_is_too_far_behind_fails(finished, capsys, form, within, code, told):
    assert main.run([*finished, *form, *within]) == code
    captured = capsys.readouterr()
    assert captured.err.endswith(told)
    assert 'behind exact on' not in captured.out
    if form == ['--json']:
        assert json.loads(captured.out)['classes']['pan']['paper_monitor']['jf'] == 0.76
    if form == ['--markdown']:
        assert captured.out.startswith('| event | J&F `exact` | `paper_monitor` |')


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['--classes', 'zoom'], "unknown event class 'zoom'; allowed: calm, cut, cut_back, flash"),
        (['--modes', 'fast'], "unknown mode 'fast'; allowed: exact, swr, smr, paper"),
        (['--modes', ''], 'no mode is given'),
        (['--resume'], '--resume needs --out'),
        (['--within', '1'], '--within needs exact and paper_monitor among --modes'),
        (['--within', '-1'], "Invalid value for '--within'"),
        (['--json', '--markdown'], '--json and --markdown are two forms of one output'),
        (['--clips', '0'], "Invalid value for '--clips'"),
        (['--size', '100', '--modes', 'exact'], 'image_size is 100; allowed: a multiple of 64'),
        (['--sheet', 'here'], 'here is not a folder: pictures cannot be kept there'),
        (['--out', 'here'], 'here is not a folder: results cannot be kept there'),
    ],
)
def test_refusals(tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'here').write_text('')
    assert main.run(['eval', 'events', *FLOOR[2:], '--modes', 'copy_first', *arguments]) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert not captured.out
