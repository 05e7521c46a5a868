# SPDX-License-Identifier: Apache-2.0
"""Event scores as JSON, table and Markdown, from scores made by hand."""

from dataclasses import replace
from io import StringIO

import pytest
from rich.console import Console

from esam2_ros.evaluation import bootstrap
from esam2_ros.evaluation.event_clips import EventClass
from esam2_ros.evaluation.event_report import classes_behind
from esam2_ros.evaluation.event_report import event_table
from esam2_ros.evaluation.event_report import to_json
from esam2_ros.evaluation.event_scores import MOMENTS
from esam2_ros.evaluation.event_scores import EventScore
from esam2_ros.evaluation.markdown import events_markdown


def row(jf, active=0.5):
    return EventScore(jf, dict.fromkeys(MOMENTS, jf), True, 2, 1, 4, 1, 40, 10.0, active)


PAN = {'exact': [row(0.8, 1.0)] * 2, 'paper': [row(0.75), row(0.77)]}
CUT = {'exact': [row(0.5, 1.0)] * 2, 'paper': [row(0.58), row(0.5)]}
SCORES = {EventClass.PAN: PAN, EventClass.CUT: CUT}


@pytest.fixture(autouse=True)
def two_are_enough(monkeypatch):
    """Two clips can be reckoned with by hand."""
    monkeypatch.setattr(bootstrap, 'FEWEST', 2)


def test_points_behind_exact_and_their_interval_stand_in_the_report():
    report = to_json(SCORES, {'seed': 3})
    assert report['seed'] == 3
    pan = report['classes']['pan']
    assert pan['paper']['points_behind_exact'] == pytest.approx(4)
    assert (pan['exact']['points_behind_exact'], pan['paper']['swaps']) == (0, 2)
    assert pan['exact']['difference'] is None
    assert pan['paper']['difference'] == {
        'baseline': 'exact',
        'points': pytest.approx(-4),
        'low': pytest.approx(-5),
        'high': pytest.approx(-3),
        'clips': 2,
        'dense_frames': -20,
    }
    # Clips of one number are drawn together: -5 + 8 and -3 + 0 points, each over two classes.
    every = report['modes']['paper']['difference']
    assert (every['points'], every['low'], every['high']) == pytest.approx((0, -1.5, 1.5))
    assert every['clips'] == 2


def test_the_table_has_them_too():
    console = Console(width=120, record=True, file=StringIO())
    console.print(event_table({EventClass.PAN: PAN}))
    lines = [line.split() for line in console.export_text().splitlines() if ' paper ' in line]
    cells = [
        'paper',
        *['0.760'] * 4,
        '2',
        '0/2',
        '2',
        '25%',
        '50%',
        '10.0',
        '-4.00',
        '(-5.00,',
        '-3.00)',
    ]
    assert lines == [cells, cells]


def test_markdown_has_the_tables_of_the_documentation():
    monitored = [replace(each, recovery=None) for each in PAN['paper']]
    pan = {**PAN, 'paper_monitor': monitored, 'paper_monitor_false_cut': [row(0.75, 0.52)] * 2}
    quality, recovery, apart = events_markdown({EventClass.PAN: pan}).split('\n\n')
    assert quality.splitlines()[0] == (
        '| event | J&F `exact` | `paper` | `paper_monitor` | `paper_monitor_false_cut` '
        '| 1 / 5 / 30 frames after: `exact` | `paper` | `paper_monitor` '
        '| `paper_monitor_false_cut` '
        '| windows `paper` | `paper_monitor` | `paper_monitor_false_cut` |'
    )
    assert quality.splitlines()[1] == '|' + 12 * '---|'
    assert quality.splitlines()[2] == (
        '| pan | 0.800 | 0.760 | 0.760 | 0.750 | 0.80 / 0.80 / 0.80 | 0.76 / 0.76 / 0.76 '
        '| 0.76 / 0.76 / 0.76 | 0.75 / 0.75 / 0.75 | 50 % | 50 % | 52 % |'
    )
    assert quality.splitlines()[3].startswith('| all | 0.800 |')
    assert recovery.splitlines()[2] == (
        '| pan | 2 / 2 / - / 2 | 0 of 2 / 0 of 2 / 2 of 2 / 0 of 2 | 2 / 2 / 2 / 2 '
        '| 25 % / 25 % / 25 % / 25 % |'
    )
    assert apart.splitlines() == [
        '| event | `paper` to `exact` | `paper_monitor` to `exact` '
        '| `paper_monitor_false_cut` to `paper_monitor` |',
        '|---|---|---|---|',
        '| pan | -4.00 (-5.00, -3.00) | -4.00 (-5.00, -3.00) '
        '| -1.00 (-2.00, +0.00), +0.80 dense frames a clip |',
        '| all | -4.00 (-5.00, -3.00) | -4.00 (-5.00, -3.00) '
        '| -1.00 (-2.00, +0.00), +0.80 dense frames a clip |',
    ]


@pytest.mark.parametrize(
    ('points', 'classes'), [(0.9, ['pan', 'cut']), (1.0, ['pan']), (3.9, ['pan']), (4.0, [])]
)
def test_classes_behind(points, classes):
    cut = {'exact': [row(0.8)], 'paper_monitor': [row(0.79)]}
    calm = {'exact': [row(0.8)], 'paper_monitor': [row(0.9)]}
    pan = {'exact': PAN['exact'], 'paper_monitor': PAN['paper']}
    scores = {EventClass.PAN: pan, EventClass.CUT: cut, EventClass.CALM: calm}
    assert list(classes_behind(scores, points)) == classes
