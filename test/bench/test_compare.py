# SPDX-License-Identifier: Apache-2.0
"""Variants of our own settings, timed in turn."""

import json

import pytest

from esam2_ros.bench.compare import Row
from esam2_ros.bench.compare import Variant
from esam2_ros.bench.compare import ablation
from esam2_ros.bench.compare import by_targets
from esam2_ros.bench.compare import compare
from esam2_ros.bench.compare import to_json
from esam2_ros.bench.speed import TRICKS
from esam2_ros.bench.speed import SpeedJob
from esam2_ros.cli.main import run
from esam2_ros.errors import ConfigError

SMALL = SpeedJob(size=256, memories=1, frames=2)


def test_the_ratio_is_the_median_of_frames_seen_by_both():
    variant = Variant('any', SMALL)
    first, second = Row(variant, (10.0, 20.0, 40.0), {}), Row(variant, (20.0, 10.0, 120.0), {})
    assert (second.ms, second.ratio_to(first), first.ratio_to(first)) == (20.0, 2.0, 1.0)


def test_an_ablation_leaves_one_trick_out_at_a_time():
    variants = ablation(SMALL)
    assert [each.job.ablate for each in variants] == [(), *((trick,) for trick in TRICKS)]
    assert variants[1].name == f'without {TRICKS[0]}'
    for each in variants[1:]:
        (trick,) = each.job.ablate
        assert not getattr(each.job.config.pack, trick)


def test_one_target_has_no_one_by_one():
    rows = [(each.job.targets, each.job.batched) for each in by_targets(SMALL, [1, 3])]
    assert rows == [(1, True), (3, True), (3, False)]


def test_rows_are_timed_apart_and_compared_with_the_first():
    fields = to_json(compare(by_targets(SMALL, [1, 2])))
    assert [row['targets'] for row in fields['rows']] == [1, 2, 2]
    assert fields['rows'][0]['ratio'] == 1.0
    for row in fields['rows']:
        assert 0 < row['stages_ms']['memory_attention'] < row['ms']
    assert (fields['size'], fields['frames'], fields['active']) == (256, 2, 1.0)
    assert fields['weights'] == 'packaged'


@pytest.mark.parametrize('counts', [[], [0], [17]])
def test_counts_out_of_range(counts):
    with pytest.raises(ConfigError, match='1 to 16'):
        by_targets(SMALL, counts)


@pytest.mark.parametrize('command', ['targets', 'ablation'])
def test_the_commands_print_one_object_or_a_table(capsys, command):
    base = ['bench', command, '--size', '256', '--frames', '1', '--memories', '1']
    more = ['--counts', '1,2'] if command == 'targets' else []
    assert run([*base, *more, '--json']) == 0
    names = [row['name'] for row in json.loads(capsys.readouterr().out)['rows']]
    assert names[0] == ('1 in one pass' if command == 'targets' else 'all of the pack')
    assert len(names) == (3 if command == 'targets' else 1 + len(TRICKS))
    if command == 'targets':
        assert run([*base, *more]) == 0
        assert '2 one by one' in capsys.readouterr().out


def test_counts_that_are_no_numbers(capsys):
    assert run(['bench', 'targets', '--counts', 'many']) == 2
    assert "counts is 'many'; allowed: whole numbers with commas" in capsys.readouterr().err
