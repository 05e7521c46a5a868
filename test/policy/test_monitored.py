# SPDX-License-Identifier: Apache-2.0
"""Plans that look at the current frame, and the budget that bounds them."""

import numpy as np
import pytest

from esam2_ros import TrackerConfig
from esam2_ros.core.plan import WindowGrid
from esam2_ros.policy.budget import MIN_KEEP_RATIO
from esam2_ros.policy.budget import MIN_MARGIN_PX
from esam2_ros.policy.budget import Allowance
from esam2_ros.policy.budget import Budget
from esam2_ros.policy.modes import Mode
from esam2_ros.policy.monitor import MotionClass
from esam2_ros.policy.monitor import SceneView
from esam2_ros.policy.monitored import MonitoredRouter
from esam2_ros.policy.monitored import grown_windows
from esam2_ros.policy.routing import Evidence
from esam2_ros.policy.routing import TargetEvidence

GRID = WindowGrid(6, 6, 96, 512)
LOST = 30
CENTRE = 14  # window of rows 192..288, columns 192..288


def mask(row, column, size=8):
    """A square of `size` small pixels around a place in model pixels."""
    drawn = np.zeros((128, 128), bool)
    y, x, half = row // 4, column // 4, size // 2
    drawn[y - half : y + half, x - half : x + half] = True
    return drawn


def plan(
    kind=MotionClass.NORMAL,
    *,
    drawn=None,
    motion=(0.0, 0.0),
    absent=0,
    frame=7,
    logit=8.0,
    rapid=False,
    query_sparse=False,
    saliency=None,
    **evidence,
):
    drawn = mask(240, 240) if drawn is None else drawn
    target = TargetEvidence(logit, (CENTRE,), saliency, drawn, motion, absent)
    values = {
        'since_prompt': 9,
        'frame': frame,
        'view': SceneView(motion_class=kind, rapid=rapid),
        'ages': tuple(range(36)),
        'allowance': Allowance(0, 0.05, 16),
        **evidence,
    }
    router = MonitoredRouter(Mode.PAPER, 0.7, 5.0, LOST, query_sparse=query_sparse)
    return router.plan(GRID, Evidence((target,), **values))


@pytest.mark.parametrize(
    ('change', 'reason'),
    [
        ({'kind': MotionClass.CUT}, 'cut'),
        ({'since_prompt': 1}, 'prompt'),
        ({'jumped': True}, 'jump'),
        ({'absent': 1}, 'search'),
        ({'absent': LOST - 1}, 'search'),
        ({'absent': LOST, 'frame': 10}, 'search'),
        ({'kind': MotionClass.PAN, 'rapid': True}, 'rapid'),
        ({'kind': MotionClass.NORMAL, 'rapid': True}, 'rapid'),
        ({'absent': LOST, 'rapid': True}, 'rapid'),
        ({'logit': 2.4}, 'doubt'),
    ],
)
def test_all_windows_where_the_last_frame_says_nothing(change, reason):
    whole = plan(**change)
    assert whole.reasons == (reason,) * 36
    assert whole.keep is None  # and all memory is read


@pytest.mark.parametrize(
    'change',
    [
        {'logit': 2.5},
        {'kind': MotionClass.PAN},
        {'logit': -3.0, 'absent': LOST},  # it is searched in turns
        {'rapid': True, 'allowance': Allowance(0, 0.05, 16, careful=False)},
        {'logit': 0.1, 'allowance': Allowance(0, 0.05, 16, careful=False)},
    ],
)
def test_not_all_windows_where_it_is_sure_or_there_is_no_time(change):
    assert not plan(**change).is_dense


def test_the_least_sure_target_decides():
    targets = tuple(TargetEvidence(x, (CENTRE,), None, mask(240, 240)) for x in (8.0, 1.0))
    evidence = Evidence(targets, 9, 7, SceneView(), allowance=Allowance(0, 0.05, 16))
    for doubt, reasons in ((2.5, {'doubt'}), (0.5, {'mask'})):
        router = MonitoredRouter(Mode.PAPER, 0.7, -10.0, LOST, doubt)
        assert set(router.plan(GRID, evidence).reasons) == reasons


def test_a_calm_frame_computes_the_mask_and_its_margin():
    calm = plan()
    assert calm.active == (CENTRE,)
    edge = plan(drawn=mask(240, 280))  # 8 px from the next window, margin 16
    assert edge.active == (CENTRE, CENTRE + 1)
    assert edge.reasons == ('mask', 'margin')


@pytest.mark.parametrize('kind', [MotionClass.PAN, MotionClass.SHAKE, MotionClass.FAST])
def test_motion_moves_the_prior_and_widens_it(kind):
    moved = plan(kind, motion=(90.0, 0.0))
    assert CENTRE + 1 in moved.active
    assert moved.reasons[moved.active.index(CENTRE + 1)] == 'motion'
    wide = plan(kind, motion=(200.0, 0.0))
    assert set(moved.active) < set(wide.active)


def test_a_lost_target_is_searched_in_turns():
    seen = set()
    for frame in range(6, 9):
        turn = plan(absent=LOST, frame=frame)
        assert len(turn.active) < 36
        seen |= set(turn.active)
    assert seen == set(range(36))


def test_the_oldest_windows_are_refreshed():
    refreshed = plan(allowance=Allowance(2, 0.05, 16))
    assert refreshed.refresh == (34, 35)
    assert refreshed.active == (CENTRE, 34, 35)
    assert refreshed.reasons == ('mask', 'refresh', 'refresh')


def test_the_allowance_sets_the_keys():
    assert plan(allowance=Allowance(0, 0.02, 16)).keep == 20
    assert plan().keep == 51
    hasty = Allowance(0, 0.02, 16, careful=False)
    assert plan(MotionClass.CUT, allowance=hasty).keep == 20


def test_a_mask_that_leaves_the_image_leaves_no_window():
    assert grown_windows(GRID, mask(240, 490), (200.0, 0.0), 0) == ()


def levels(config, times):
    budget = Budget(config)
    seen = [budget.allowance]
    exceeded = False
    for time in times:
        exceeded = budget.update(time)
        if budget.allowance != seen[-1]:
            seen.append(budget.allowance)
    return seen, exceeded


def test_a_budget_lowers_refresh_keys_margin_care_and_then_says_so():
    seen, exceeded = levels(TrackerConfig(latency_ms=10.0), [50.0] * 12)
    assert exceeded
    assert [level.refresh_windows for level in seen] == [1] + [0] * (len(seen) - 1)
    keys, margins = [x.keep_ratio for x in seen], [x.margin_px for x in seen]
    assert keys == sorted(keys, reverse=True) and keys[-1] == MIN_KEEP_RATIO
    assert margins == sorted(margins, reverse=True) and margins[-1] == MIN_MARGIN_PX
    assert margins[keys.index(MIN_KEEP_RATIO)] == 32  # keys go first
    assert [level.careful for level in seen] == [True] * (len(seen) - 1) + [False]


def test_a_budget_gives_back_when_there_is_time():
    budget = Budget(TrackerConfig(latency_ms=10.0))
    budget.update(50.0)
    assert budget.allowance.refresh_windows == 0
    for _ in range(30):
        assert not budget.update(2.0)
    assert budget.allowance.refresh_windows == 1


def test_a_slow_frame_now_and_then_is_within_the_mean():
    times = ([60.0] * 5 + [200.0]) * 10  # 83 in the mean
    assert levels(TrackerConfig(latency_ms=100.0), times) == ([Allowance(1, 0.05, 32)], False)


def test_no_budget_changes_nothing():
    assert levels(TrackerConfig(), [1e5] * 5) == ([Allowance(1, 0.05, 32)], False)


@pytest.mark.parametrize('mode', ['exact', 'smr'])
def test_dense_modes_stay_dense(mode):
    target = TargetEvidence(8.0, (CENTRE,), None, mask(240, 240))
    router = MonitoredRouter(Mode(mode), 0.7, 5.0, LOST)
    evidence = Evidence((target,), 9, 7, SceneView(), allowance=Allowance(1, 0.05, 16))
    assert router.plan(GRID, evidence).is_dense


# --- memory attention near the targets only

PANNED = {19, 20, 21, 27, 28, 29, 35, 36, 37}


@pytest.mark.parametrize(
    ('change', 'blocks'),
    [
        ({}, {27}),  # 8 x 8 blocks of 64 px, the mask's is 192..256
        ({'drawn': mask(224, 250)}, {27, 28}),
        ({'kind': MotionClass.PAN, 'motion': (64.0, 0.0)}, PANNED),  # within 80 px
        # The encoder then computes all its windows.
        ({'logit': 2.4}, {27}),
        # Where the decoder looked, if it was unsure: window 0 is of blocks 0, 1, 8, 9.
        ({'logit': 4.0, 'saliency': (0.9, *[0.0] * 34, 0.1)}, {0, 1, 8, 9, 27}),
        ({'saliency': (0.9, *[0.0] * 34, 0.1)}, {27}),
        # The windows that the encoder computes in turn, 34 and 35.
        ({'allowance': Allowance(2, 0.05, 16)}, {27, 62, 63}),
    ],
)
def test_conditioned_are_the_blocks_near_a_target_and_some_in_turn(change, blocks):
    got = plan(query_sparse=True, **{'drawn': mask(224, 224), **change})
    # Without a window computed in turn it is the next one's: 7, of blocks 9, 10, 17 and 18.
    turn = set() if got.refresh else {9, 10, 17, 18}
    assert got.queries == (tuple(sorted(blocks | turn)),)


@pytest.mark.parametrize(
    'change',
    [
        {'kind': MotionClass.CUT},
        {'since_prompt': 1},
        {'jumped': True},
        {'absent': 1},
        {'rapid': True},
        {'absent': LOST, 'frame': 10},
    ],
)
def test_everything_is_conditioned_where_the_last_frame_says_nothing(change):
    assert plan(query_sparse=True, **change).queries is None


def test_a_target_that_is_searched_is_conditioned_everywhere():
    assert plan(query_sparse=True, absent=LOST).queries == (None,)
    assert plan(query_sparse=True, drawn=np.zeros((128, 128), bool)).queries == (None,)


def test_each_target_has_windows_of_its_own():
    targets = tuple(TargetEvidence(8.0, (), None, mask(32, column)) for column in (32, 224, 416))
    evidence = Evidence(targets, 9, 7, SceneView(), allowance=Allowance(0, 0.05, 16))
    router = MonitoredRouter(Mode.SMR, 0.7, 5.0, LOST, query_sparse=True)
    chosen = router.plan(GRID, evidence)
    assert chosen.is_dense
    turn = {9, 10, 17, 18}
    assert [set(blocks) - turn for blocks in chosen.queries] == [{0}, {3}, {6}]


def test_within_the_grid_every_block_has_its_turn():
    """Whatever the budget leaves: the background does not age without bound."""
    turns = [
        set(plan(query_sparse=True, frame=frame, drawn=mask(224, 224)).queries[0])
        for frame in range(36)
    ]
    assert set.union(*turns) == set(range(64))


def test_unless_asked_for_everything_is_conditioned():
    assert plan().queries is None
