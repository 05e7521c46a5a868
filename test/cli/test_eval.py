# SPDX-License-Identifier: Apache-2.0
"""`esam2 eval davis`: fields, table, resuming, and refusals with exit code 2."""

import json

import pytest
from square_clips import CHANGING
from square_clips import MOVING
from square_clips import write_clip

from esam2_ros.cli import main

RANDOM = ['--modes', 'exact,stock', '--checkpoint', 'random', '--image-size', '256']


@pytest.fixture
def root(tmp_path):
    for name, truths in (('changing', CHANGING), ('moving', MOVING)):
        folder = tmp_path / 'clips' / name
        write_clip(folder / 'frames', folder / 'masks', truths)
    return tmp_path / 'clips'


def test_json_is_one_object_with_the_published_fields(root, tmp_path, capsys):
    arguments = ['eval', 'davis', str(root), '--sequences', 'moving', '--json', *RANDOM]
    arguments += ['--prompt', 'box', '--out', str(tmp_path / 'out')]
    assert main.run(arguments) == 0
    report = json.loads(capsys.readouterr().out)
    assert {'preset', 'model', 'image_size', 'device', 'prompt', 'modes'} <= report.keys()
    assert (report['model'], report['image_size'], report['prompt']) == ('compact', 256, 'box')
    assert list(report['modes']) == ['exact', 'stock', 'copy_first', 'flow_warp']
    exact = report['modes']['exact']
    assert exact['iou_to_exact'] == exact['active_realised'] == 1
    assert exact['ms_stock'] > 0
    assert exact['difference'] is None
    # One clip: a difference, and no interval.
    apart = report['modes']['copy_first']['difference']
    assert apart['points'] == pytest.approx(
        100 * (report['modes']['copy_first']['jf'] - exact['jf'])
    )
    assert (apart['baseline'], apart['clips'], apart['low']) == ('exact', 1, None)
    assert list(exact['sequences']) == ['moving']
    kept = tmp_path / 'out' / report['preset']
    assert json.loads((kept / 'report.json').read_text()) == report
    assert len(list((kept / 'exact' / 'moving').glob('*.png'))) == 5
    # Times are measured, so an equal report means that nothing was run again.
    assert main.run([*arguments, '--resume']) == 0
    assert json.loads(capsys.readouterr().out) == report


def test_table(root, capsys):
    assert main.run(['eval', 'davis', str(root), '--modes', 'copy_first', '--no-floors']) == 0
    out = capsys.readouterr().out
    # Means of 3 objects; J of each: (15/25 + 10/30 + 5/35) / 3, 1/2 and 1.
    row = next(line for line in out.splitlines() if 'copy_first' in line and '%' in line)
    assert row.split('│')[3].strip() == '0.620'
    assert '100.0%' in row
    assert 'moving' in out
    assert 'preset ' in out
    assert 'flow_warp' not in out


def test_markdown(root, tmp_path, capsys):
    out = ['--out', str(tmp_path / 'out')]
    arguments = ['eval', 'davis', str(root), '--modes', 'copy_first', '--no-floors', '--markdown']
    assert main.run([*arguments, *out]) == 0
    modes, clips = capsys.readouterr().out.strip().split('\n\n')
    assert modes.splitlines()[:2] == [
        '| mode | J&F | J | F | IoU to exact | windows computed | image conditioned | ms a frame |'
        ' points (95 %) |',
        '|---|---|---|---|---|---|---|---|---|',
    ]
    cells = [cell.strip() for cell in modes.splitlines()[2].split('|')[1:-1]]
    assert (cells[0], cells[2], cells[8]) == ('`copy_first`', '0.620', '-')
    assert cells[4:7] == ['-'] * 3
    assert clips.splitlines()[:2] == ['| clip | `copy_first` |', '|---|---|']
    assert [line.split('|')[1].strip() for line in clips.splitlines()[2:]] == ['changing', 'moving']


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['--sequences', 'car'], 'no clip named car; there are: changing, moving'),
        (['--modes', 'fast'], "unknown mode 'fast'; allowed: exact, swr, smr, paper"),
        (['--resume'], '--resume needs --out'),
        (['--json', '--markdown'], '--json and --markdown are two forms of one output'),
        (['--model', 'huge'], "unknown model 'huge'"),
        ([*RANDOM, '--image-size', '100'], 'image_size is 100; allowed: a multiple of 64'),
        (['--checkpoint', 'nowhere.pt'], 'nowhere.pt: no such file'),
        (['--prompt', 'scribble'], "'scribble' is not one of 'mask', 'box', 'point'"),
        (['--device', 'abacus', '--modes', 'flow_warp'], "device is 'abacus'; allowed here: auto"),
        (['--out', 'clips/moving/frames/00000.png'], '00000.png is not a folder'),
    ],
)
def test_refusals(root, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(root.parent)
    assert main.run(['eval', 'davis', 'clips', *arguments]) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert not captured.out


def test_a_root_that_is_missing(tmp_path, capsys):
    assert main.run(['eval', 'davis', str(tmp_path / 'nowhere')]) == 2
    assert 'nowhere: no such folder' in capsys.readouterr().err
