# SPDX-License-Identifier: Apache-2.0
"""`esam2 train`: a piece, its sequel, the export and the curve; refusals with exit code 2."""

import json

import pytest
import yaml

from esam2_ros.cli import main

RECIPE = {
    'bf16': False,
    'phases': [{'steps': 2, 'shapes': [{'size': 64, 'frames': 2, 'clips': 1, 'targets': 2}]}],
}
EXPORT = ['--clips', '1', '--frames', '2', '--image-size', '256']


@pytest.fixture
def recipe(tmp_path):
    path = tmp_path / 'recipe.yaml'
    path.write_text(yaml.safe_dump(RECIPE))
    return path


def test_a_piece_is_trained_refused_twice_and_exported(recipe, tmp_path, capsys):
    folder, out = tmp_path / 'run', tmp_path / 'compact.safetensors'
    train = ['train', 'compact', '--recipe', str(recipe), '--folder', str(folder)]
    train += ['--device', 'cpu']
    assert main.run(train) == 0
    assert 'steps 0 to 2' in capsys.readouterr().out
    assert main.run(train) == 2
    assert 'state.pt exists; go on with --resume' in capsys.readouterr().err
    assert main.run([*train, '--resume']) == 0
    assert 'the recipe is at its end' in capsys.readouterr().out
    export = ['train', 'export', str(folder / 'carried.pt'), '--out', str(out), *EXPORT]
    assert main.run([*export, '--json']) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report['steps'], report['replaced'], report['path']) == (2, True, str(out))
    assert {'box', 'mask'} == report['metrics'].keys()
    assert main.run(['weights', 'check', str(out), '--model', 'compact']) == 0
    assert main.run(export) == 1
    assert 'kept, it scores better' in capsys.readouterr().out


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['compact', '--resume', '--folder', 'empty'], 'neither state.pt nor carried.pt is in emp'),
        (['compact', '--recipe', 'absent.yaml'], 'absent.yaml cannot be read as YAML'),
        (['compact', '--minutes', '-1'], 'should be greater than or equal to 0'),
        (['compact', '--device', 'abacus'], "device is 'abacus'; allowed here: auto"),
        (['export', 'absent.pt'], 'absent.pt: no such file'),
        (['plot', 'absent.jsonl'], 'absent.jsonl is not a training log'),
    ],
)
def test_refusals(recipe, tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    if arguments[0] == 'compact' and '--recipe' not in arguments:
        arguments = [*arguments, '--recipe', str(recipe)]
    assert main.run(['train', *arguments]) == 2
    assert message in capsys.readouterr().err


def test_a_curve(tmp_path, capsys):
    row = {'step': 50, 'minutes': 0.5, 'size': 64, 'frames': 1, 'loss': 2.0}
    row |= {'prompt_iou': 0.3, 'track_iou': 0.0, 'validation': {}}
    (tmp_path / 'log.jsonl').write_text(json.dumps(row) + '\n')
    out = tmp_path / 'curve.png'
    assert main.run(['train', 'plot', str(tmp_path / 'log.jsonl'), '--out', str(out)]) == 0
    assert 'up to step 50' in capsys.readouterr().out
    assert out.stat().st_size > 1000
