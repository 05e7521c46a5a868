# SPDX-License-Identifier: Apache-2.0
"""`esam2 eval events`: fields, table, files, and refusals with exit code 2."""

import json

import pytest

from esam2_ros.cli import main

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


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['--classes', 'zoom'], "unknown event class 'zoom'; allowed: calm, cut, cut_back, flash"),
        (['--modes', 'fast'], "unknown mode 'fast'; allowed: exact, swr, smr, paper"),
        (['--modes', ''], 'no mode is given'),
        (['--resume'], '--resume needs --out'),
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
