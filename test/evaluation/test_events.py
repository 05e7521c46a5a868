# SPDX-License-Identifier: Apache-2.0
"""Modes side by side on event clips: prompts, plans, and taking up finished work."""

import json
from functools import cache

import pytest

from esam2_ros.core.models import build_model
from esam2_ros.errors import ConfigError
from esam2_ros.evaluation import events
from esam2_ros.evaluation.event_clips import EventClass
from esam2_ros.evaluation.event_clips import event_clip
from esam2_ros.evaluation.event_pictures import Gallery
from esam2_ros.evaluation.events import EventJob
from esam2_ros.evaluation.events import pick_classes
from esam2_ros.evaluation.job import Job
from esam2_ros.evaluation.modes import Setup
from esam2_ros.evaluation.modes import pick_modes
from esam2_ros.evaluation.run import enter
from esam2_ros.evaluation.segmenter import PromptKind
from esam2_ros.policy.config import TrackerConfig

FLOORS = pick_modes(['copy_first', 'flow_warp'])
clip_of = cache(event_clip)


@pytest.fixture(autouse=True)
def _rendered_once(monkeypatch):
    monkeypatch.setattr(events, 'event_clip', clip_of)


def job(modes):
    return Job(modes, 'compact', 256, 'random', 'cpu')


def test_tracked_modes_report_the_share_of_windows_they_computed():
    clip = clip_of(EventClass.CALM, 0, 0)
    setup = Setup(build_model('compact', 256, seed=0), TrackerConfig())
    names = ['exact', 'swr', 'smr', 'paper', 'paper_monitor']
    modes = {mode.name: mode for mode in pick_modes(names, floors=False)}
    assert list(modes) == names
    for name, mode in modes.items():
        segmenter = enter(mode, 3, lambda: setup, PromptKind.BOX).segmenter
        prompt = events.draw_prompt(clip.masks[0] == 1, PromptKind.BOX)
        shares = []
        for index in range(3):
            shown = segmenter.step(clip.frames[index], {} if index else {1: prompt})
            plan = shown.result.plan
            assert shown.active == len(plan.active) / plan.grid.count
            shares.append(shown.active)
        assert plan.mode == {'paper_monitor': 'paper'}.get(name, name)
        # Where the monitor has doubts, all memory is read.
        if name != 'paper_monitor':
            assert (plan.keep is not None) == (name in ('smr', 'paper'))
        if name in ('exact', 'smr'):
            assert shares[1:] == [1, 1]


def test_a_floor_knows_nothing_of_a_cut():
    scores, report = EventJob(job(FLOORS[:1]), (EventClass.CUT,), 2).run(lambda *_: None)
    rows = scores[EventClass.CUT]['copy_first']
    assert [row.false_masks / row.absent for row in rows] == [1, 1]
    assert [row.comes_back for row in rows] == [False, False]
    copied = report['classes']['cut']['copy_first']
    assert (copied['false_mask_rate'], copied['clips'], copied['recovery']) == (1, 2, None)
    assert copied['jf_after'] == {'1': 0, '5': 0, '30': 0}
    assert copied['points_behind_exact'] is copied['difference'] is None
    assert report['modes']['copy_first'] == copied
    assert (report['seed'], report['clips'], report['image_size']) == (0, 2, 256)


def test_finished_clips_are_taken_up_and_others_are_made(tmp_path, monkeypatch):
    run = EventJob(job(FLOORS[:1]), (EventClass.CALM,), 1)
    seen = []
    first = run.run(lambda *done: seen.append(done), tmp_path)
    assert seen == [('calm_000', 1)]
    made = []

    def counting(*arguments):
        made.append(arguments)
        return clip_of(*arguments)

    monkeypatch.setattr(events, 'event_clip', counting)
    assert run.run(lambda *_: None, tmp_path, resume=True) == first
    assert not made
    kept = tmp_path / run.job.preset
    assert json.loads((kept / 'events.json').read_text()) == first[1]
    # A second mode is run alone; another seed is another result.
    scores, _ = EventJob(job(FLOORS), run.classes, 1).run(lambda *_: None, tmp_path, resume=True)
    assert scores[EventClass.CALM]['copy_first'] == first[0][EventClass.CALM]['copy_first']
    EventJob(job(FLOORS[:1]), run.classes, 1, seed=1).run(lambda *_: None, tmp_path, resume=True)
    assert made == [(EventClass.CALM, 0, 0), (EventClass.CALM, 0, 1)]


def test_damaged_results_are_made_again(tmp_path):
    run = EventJob(job(FLOORS[:1]), (EventClass.CALM,), 1)
    first = run.run(lambda *_: None, tmp_path)
    path = tmp_path / run.job.preset / 'copy_first' / 'calm_000.json'
    path.write_text(path.read_text()[:50])
    again = run.run(lambda *_: None, tmp_path, resume=True)
    assert [row.jf for row in again[0][EventClass.CALM]['copy_first']] == [
        row.jf for row in first[0][EventClass.CALM]['copy_first']
    ]


def test_classes_by_name():
    assert pick_classes(['fast_40', 'cut', 'cut']) == (EventClass.FAST_40, EventClass.CUT)
    assert pick_classes([]) == tuple(EventClass)
    with pytest.raises(ConfigError, match="unknown event class 'zoom'; allowed: calm, cut, cut_b"):
        pick_classes(['zoom'])


def test_a_file_where_a_folder_should_be(tmp_path):
    file = tmp_path / 'file'
    file.write_text('')
    with pytest.raises(ConfigError, match='file is not a folder: pictures'):
        Gallery(None, file)
    with pytest.raises(ConfigError, match='file is not a folder: results'):
        EventJob(job(FLOORS), (EventClass.CALM,), 1).run(lambda *_: None, file)
