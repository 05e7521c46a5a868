# SPDX-License-Identifier: Apache-2.0
"""The published rule, and plans that are logged and replayed."""

import json
from dataclasses import replace

import pytest
import torch

from esam2_ros import Prompt
from esam2_ros import StreamingTracker
from esam2_ros import TrackerConfig
from esam2_ros.core.evidence import touched_windows
from esam2_ros.core.models import build_model
from esam2_ros.core.plan import FramePlan
from esam2_ros.core.plan import WindowGrid
from esam2_ros.core.plan import dense_plan
from esam2_ros.errors import ConfigError
from esam2_ros.policy.modes import Mode
from esam2_ros.policy.routing import Evidence
from esam2_ros.policy.routing import ForcedRouter
from esam2_ros.policy.routing import PaperRouter
from esam2_ros.policy.routing import ReplayedRouter
from esam2_ros.policy.routing import TargetEvidence
from esam2_ros.policy.routing import salient_windows

GRID = WindowGrid(3, 3, 96, 256)
FLAT = tuple([1 / 9] * 9)
PEAKED = (0.0, 0.0, 0.1, 0.6, 0.0, 0.0, 0.3, 0.0, 0.0)
SURE, UNSURE = 8.0, 2.0


def plan(*targets, since=5, mode=Mode.PAPER):
    evidence = Evidence(tuple(TargetEvidence(*target) for target in targets), since)
    return PaperRouter(mode).plan(GRID, evidence)


@pytest.mark.parametrize(
    ('targets', 'active', 'reasons'),
    [
        # Sure and seen: the windows of the mask and nothing else.
        ([(SURE, (4, 5), PEAKED)], (4, 5), ('mask', 'mask')),
        # Unsure: those that hold 0.7 of the attention as well.
        ([(UNSURE, (4,), PEAKED)], (3, 4, 6), ('saliency', 'mask', 'saliency')),
        # Nothing drawn: attention alone, however sure.
        ([(SURE, (), PEAKED)], (3, 6), ('saliency', 'saliency')),
        # One set for all targets.
        ([(SURE, (0,), None), (SURE, (8,), None)], (0, 8), ('mask', 'mask')),
        # Only the unsure one asks for attention.
        ([(SURE, (0,), PEAKED), (UNSURE, (8,), PEAKED)], (0, 3, 6, 8), None),
        # Nothing is known: everything.
        ([(SURE, (), None)], tuple(range(9)), ('blind',) * 9),
    ],
)
def test_the_published_rule(targets, active, reasons):
    chosen = plan(*targets)
    assert chosen.active == active
    assert reasons is None or chosen.reasons == reasons


@pytest.mark.parametrize('since', [0, 1])
def test_a_prompt_makes_two_frames_dense(since):
    assert plan((SURE, (4,), None), since=since).reasons == ('prompt',) * 9
    assert len(plan((SURE, (4,), None), since=2).active) == 1


@pytest.mark.parametrize(
    ('mode', 'windows', 'keep'),
    [('exact', 9, None), ('swr', 1, None), ('smr', 9, 12), ('paper', 1, 12)],
)
def test_modes_make_sparse_what_they_say(mode, windows, keep):
    chosen = plan((SURE, (4,), None), mode=Mode(mode))
    assert (len(chosen.active), chosen.keep) == (windows, keep)


@pytest.mark.parametrize(
    ('saliency', 'mass', 'windows'),
    [(PEAKED, 0.5, (3,)), (PEAKED, 0.7, (3, 6)), (PEAKED, 1.0, (3, 6, 2)), (FLAT, 0.3, (0, 1, 2))],
)
def test_the_fewest_windows_hold_the_mass(saliency, mass, windows):
    assert salient_windows(saliency, mass) == windows


@pytest.mark.parametrize(
    ('row', 'column', 'windows'),
    [
        (0, 0, [0]),
        (21, 30, [1]),
        (22, 30, [1, 4]),
        (22, 22, [0, 1, 3, 4]),
        (26, 49, [4, 5]),
        (63, 63, [8]),
    ],
)
def test_masks_are_dilated_by_two_pixels_before_windows_are_marked(row, column, windows):
    candidates = torch.full((1, 3, 64, 64), -1.0)
    candidates[0, 1, row, column] = 1.0
    assert touched_windows(candidates, 24, 3)[0].nonzero()[:, 0].tolist() == windows


@pytest.mark.parametrize(('share', 'count'), [(0.25, 3), (0.01, 1), (1.0, 9)])
def test_forced_windows_are_rounded_up_and_move(share, count):
    router = ForcedRouter('paper', share)
    plans = [router.plan(GRID, Evidence((), 9)) for _ in range(3)]
    assert {len(each.active) for each in plans} == {count}
    assert count == 9 or plans[0].active != plans[1].active


def test_forced_queries_are_other_blocks_for_each_target():
    router = ForcedRouter('smr', 0.25, queries=0.25)
    targets = (TargetEvidence(8.0, ()),) * 3
    assert router.plan(GRID, Evidence((), 0)).queries is None  # nothing was tracked yet
    first, second = (router.plan(GRID, Evidence(targets, 9)).queries for _ in range(2))
    assert [len(blocks) for blocks in first] == [4, 4, 4]  # of 16
    assert len(set(first)) == 3
    assert first != second
    with pytest.raises(ConfigError, match=r'query share is 1\.5; allowed: above 0, to 1'):
        ForcedRouter('smr', 0.25, queries=1.5)


def test_a_plan_survives_json():
    chosen = replace(plan((UNSURE, (4,), PEAKED)), queries=((1, 2), None))
    assert FramePlan.from_dict(json.loads(json.dumps(chosen.as_dict()))) == chosen
    with pytest.raises(ConfigError, match='not a frame plan'):
        FramePlan.from_dict({'mode': 'paper'})


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'active': (9,), 'reasons': ('mask',)}, 'window 9 is not in the plan'),
        ({'active': (0, 1)}, '1 reasons for 2 windows'),
        ({'queries': ((0, -1), None)}, 'block -1 is not in the plan'),
        ({'queries': (None, (16,))}, 'block 16 is not in the plan.s grid; it has 16'),
        ({'tiles': (64,)}, 'tile 64 is not in the plan.s grid; it has 64'),
    ],
)
def test_a_plan_of_other_places_is_refused(change, message):
    with pytest.raises(ConfigError, match=message):
        replace(FramePlan('paper', GRID, (3,), ('mask',)), **change)


def walk(router=None):
    model = build_model('compact', 256, seed=1)
    frames = torch.randn(7, 1, 3, 256, 256, generator=torch.Generator().manual_seed(4))
    tracker = StreamingTracker(model, TrackerConfig(mode='paper'), router)
    tracker.step_tensor(frames[0])
    tracker.add(Prompt(box=(40, 60, 150, 170)))
    return [tracker.step_tensor(frame) for frame in frames[1:]]


def test_the_same_frames_and_plans_give_the_same_masks():
    first = walk()
    again = walk(ReplayedRouter([result.plan for result in first]))
    for a, b in zip(first, again, strict=True):
        assert a.plan == b.plan
        assert torch.equal(a.targets[0].mask_logits, b.targets[0].mask_logits)


@pytest.mark.parametrize(
    ('plans', 'message'),
    [
        ([], 'holds 0 plans'),
        ([dense_plan(GRID)] * 2 + [dense_plan(WindowGrid(2, 2, 96, 192))], 'windows'),
    ],
)
def test_a_log_that_does_not_fit_is_refused(plans, message):
    with pytest.raises(ConfigError, match=message):
        walk(ReplayedRouter(plans))


def test_no_targets_no_windows():
    tracker = StreamingTracker(build_model('compact', 256, seed=1))
    assert tracker.step_tensor(torch.zeros(1, 3, 256, 256)).plan.active == ()


def test_a_prompt_on_a_routed_frame_is_answered_with_all_windows():
    model = build_model('compact', 256, seed=1)
    frames = torch.randn(4, 1, 3, 256, 256, generator=torch.Generator().manual_seed(4))
    answers = []
    for mode in ('exact', 'swr'):
        tracker = StreamingTracker(model, TrackerConfig(mode=mode), ForcedRouter(mode, 0.1))
        tracker.step_tensor(frames[0])
        tracker.add(Prompt(box=(40, 60, 150, 170)))
        for frame in frames[1:]:
            tracker.step_tensor(frame)
        tracker.add(Prompt(box=(10, 10, 80, 90)))
        answers.append(tracker.result.targets[1].mask_logits)
    assert torch.equal(*answers)
