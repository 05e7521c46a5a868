# SPDX-License-Identifier: Apache-2.0
"""`esam2 bench speed` and `flops`: fields, tables, and refusals with exit code 2."""

import json

import pytest

from esam2_ros.cli import main
from esam2_ros.evaluation.preset import preset_of
from esam2_ros.policy.config import TrackerConfig

SMALL = ['--size', '256', '--frames', '2', '--device', 'cpu']
PUBLISHED = {
    *('model', 'size', 'mode', 'active', 'memories', 'targets', 'frames', 'ratio_to_stock'),
    *('ratio_min', 'ratio_max', 'max_abs_logit_error', 'stages_ms', 'windows_active'),
    *('windows_total', 'queries', 'keys', 'preset', 'p50_ms', 'p99_ms', 'device', 'dtype'),
    *('baseline', 'machine', 'torch', 'threads'),
}


def test_speed_json_is_one_object_with_the_published_fields(capsys):
    assert main.run(['bench', 'speed', *SMALL, '--dtype', 'float32', '--json']) == 0
    report = json.loads(capsys.readouterr().out)
    assert report.keys() >= PUBLISHED
    assert (report['model'], report['size'], report['mode']) == ('compact', 256, 'exact')
    assert report['active'] == 1
    assert report['ratio_min'] <= report['ratio_to_stock'] <= report['ratio_max']
    assert report['ratio_min'] > 0
    assert report['max_abs_logit_error'] < 1e-2
    assert report['preset'] == preset_of('compact', 256, TrackerConfig())
    assert 0 < report['p50_ms'] <= report['p99_ms']
    for side in ('stock', 'ours'):
        stages = dict(report['stages_ms'][side])
        total = stages.pop('total')
        assert {'encode', 'memory_attention', 'mask_decoder', 'memory_encoder'} <= stages.keys()
        assert sum(stages.values()) == pytest.approx(total, rel=0.1)


def test_speed_states_what_is_forced(capsys):
    assert main.run(['bench', 'speed', *SMALL, '--mode', 'paper', '--ablate', 'fused_neck']) == 0
    out = capsys.readouterr().out
    assert 'compact at 256, mode paper, windows 3/9 (forced), memories 7, targets 1' in out
    assert 'without fused_neck' in out
    assert 'ratio to stock' in out
    assert 'memory attention' in out
    assert 'logit error' not in out


def test_flops_table(capsys):
    assert main.run(['bench', 'flops', '-m', 'tiny']) == 0
    rows = [line.split('│') for line in capsys.readouterr().out.splitlines()]
    frame = next(row for row in rows if len(row) > 2 and row[1].strip() == 'frame')
    assert [cell.strip() for cell in frame[2:4]] == ['913.3', '711.4']


def test_flops_json(capsys):
    arguments = ['--model', 'large', '--size', '512', '--mode', 'paper', '--active', '0.5']
    assert main.run(['bench', 'flops', *arguments, '--json']) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report['model'], report['size']) == ('sam2.1_hiera_large', 512)
    assert list(report['modes']) == ['stock', 'paper']
    paper, stock = report['modes']['paper'], report['modes']['stock']
    assert stock['gf']['frame'] == pytest.approx(486, abs=0.5)
    ratio = stock['gf']['frame'] / paper['gf']['frame']
    assert paper['ratio_to_stock'] == pytest.approx(ratio)
    assert (paper['windows_active'], paper['windows_total']) == (2, 4)


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['speed', '--model', 'huge'], "unknown model 'huge'"),
        (['speed', '--size', '100'], 'size is 100; allowed: a multiple of 64'),
        (['speed', '--mode', 'fast'], "unknown mode 'fast'; allowed: exact, swr, smr, paper"),
        (['speed', '--ablate', 'magic'], "unknown trick 'magic'"),
        (['speed', '--device', 'abacus'], "device is 'abacus'; allowed here: auto"),
        (['speed', '--dtype', 'float8'], "unknown dtype 'float8'; allowed: auto"),
        (['speed', '--frames', 'many'], 'should be a valid integer'),
        (['flops', '--model', 'huge'], "unknown model 'huge'"),
        (['flops', '--mode', 'exact,fast'], "unknown mode 'fast'; allowed: stock, exact"),
        (['flops', '--size', '2048'], 'size is 2048; allowed: a multiple of 64'),
    ],
)
def test_refusals(capsys, arguments, message):
    assert main.run(['bench', *arguments]) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert not captured.out
