# SPDX-License-Identifier: Apache-2.0
"""Modes run side by side, score as by hand, and an interrupted run goes on."""

import json

import numpy as np
import pytest
from square_clips import CHANGING
from square_clips import MOVING
from square_clips import squares
from vos_benchmark.benchmark import benchmark

from esam2_ros.errors import ConfigError
from esam2_ros.evaluation.modes import Floor
from esam2_ros.evaluation.modes import Mode
from esam2_ros.evaluation.modes import pick_modes
from esam2_ros.evaluation.report import to_json
from esam2_ros.evaluation.results import combine
from esam2_ros.evaluation.run import Evaluation
from esam2_ros.evaluation.segmenter import PromptKind
from esam2_ros.evaluation.segmenter import Segmentation
from esam2_ros.evaluation.store import ResultStore


class Scripted:
    """Gives label maps prepared beforehand and remembers what it was shown."""

    def __init__(self, labels, active=None):
        self.labels = labels
        self.active = active
        self.prompts = []

    def step(self, image, prompts):
        self.prompts.append(dict(prompts))
        return Segmentation(self.labels[len(self.prompts) - 1], self.active)


def scripted(name, answers):
    """A mode that answers each clip, known by its length, with prepared label maps."""
    starts = []

    def start(frames, setup):
        starts.append(Scripted(answers[frames], active=0.25))
        return starts[-1]

    return Mode(name, '', start), starts


def perfect(name):
    return scripted(name, {5: MOVING, 6: CHANGING})


def evaluate(clips, modes, prompt=PromptKind.MASK, **settings):
    evaluation = Evaluation(modes, prompt, lambda: None, **settings)
    return evaluation.run(list(clips.values()), lambda *_: None)


def test_scores_by_hand(clips):
    exact, _ = perfect('exact')
    scores = evaluate(clips, (exact, *pick_modes(['copy_first'], floors=False)))
    moving = scores['copy_first']['moving']
    # Shifted by 5, 10 and 15 of its 20 px when the middle frames are scored.
    assert moving.objects[1].j == pytest.approx((15 / 25 + 10 / 30 + 5 / 35) / 3)
    assert moving.iou_to_exact[1] == pytest.approx((15 / 25 + 10 / 30 + 5 / 35 + 0) / 4)
    changing = scores['copy_first']['changing']
    # In scored frames 1 to 4 the first target is there twice and copied four times.
    assert changing.objects[1].j == pytest.approx(0.5)
    assert (changing.objects[1].absent, changing.objects[1].false_masks) == (2, 2)
    # The second counts from frame 2, its first, where the copy has it too.
    assert changing.objects[2].jf == 1
    mean = combine(scores['copy_first'].values())
    assert mean.j == pytest.approx((moving.objects[1].j + 0.5 + 1) / 3)
    assert mean.false_mask_rate == 1
    best = combine(scores['exact'].values())
    assert (best.jf, best.iou_to_exact, best.false_mask_rate) == (1, 1, 0)
    assert best.active_realised == 0.25
    # Frames 0 and 2 of one clip and 0 of the other have prompts and are not timed.
    assert [scores['exact'][name].timed_frames for name in ('changing', 'moving')] == [4, 4]


@pytest.mark.parametrize('kind', PromptKind)
def test_targets_are_prompted_once_where_they_first_appear(clips, kind):
    mode, starts = perfect('exact')
    evaluate({'changing': clips['changing']}, (mode,), kind)
    (segmenter,) = starts
    assert [sorted(prompts) for prompts in segmenter.prompts] == [[1], [], [2], [], [], []]
    prompt = segmenter.prompts[2][2]
    given = {
        PromptKind.MASK: prompt.mask is not None,
        PromptKind.BOX: prompt.box is not None and tuple(prompt.box) == (60, 10, 80, 30),
        PromptKind.POINT: prompt.points is not None and 60 <= prompt.points[0][0] < 80,
    }
    assert [each for each, is_given in given.items() if is_given] == [kind]


def test_without_exact_nothing_is_compared(clips):
    scores = evaluate(clips, pick_modes([]))
    assert combine(scores['copy_first'].values()).iou_to_exact is None


def test_a_floor_never_loads_the_model(clips):
    def refuse():
        raise AssertionError('the model was loaded')

    Evaluation(pick_modes([]), PromptKind.BOX, refuse).run([clips['moving']], lambda *_: None)


def test_progress_counts_every_frame(clips):
    seen = []
    Evaluation(pick_modes([]), PromptKind.MASK, lambda: None).run(
        list(clips.values()), lambda name, frames: seen.append((name, frames))
    )
    assert seen == [('changing', 1)] * 6 + [('moving', 1)] * 5


@pytest.fixture
def store(tmp_path):
    return ResultStore(tmp_path / 'out', 'preset', {'checkpoint': 'abc'})


def test_resume_does_only_what_is_missing(clips, store):
    mode, starts = perfect('mine')
    first = evaluate({'moving': clips['moving']}, (mode,), store=store)
    again = evaluate(clips, (mode,), store=store, resume=True)
    assert len(starts) == 2  # one clip each time
    assert again['mine']['moving'] == first['mine']['moving']
    assert list(again['mine']) == ['changing', 'moving']
    evaluate(clips, (mode,), store=store)
    assert len(starts) == 4  # both again: nobody asked to resume


def test_resume_compares_with_the_masks_of_an_earlier_exact(clips, store):
    exact, exact_starts = perfect('exact')
    evaluate(clips, (exact,), store=store)
    shifted = [np.roll(truth, 10, 1) for truth in MOVING]
    mine, _ = scripted('mine', {5: shifted, 6: CHANGING})
    scores = evaluate(clips, (exact, mine), store=store, resume=True)
    assert len(exact_starts) == 2
    assert scores['mine']['moving'].iou_to_exact == {1: pytest.approx(1 / 3)}
    assert scores['mine']['changing'].iou_to_exact == {1: 1, 2: 1}


def test_resume_makes_up_for_a_comparison_that_was_not_asked_for(clips, store):
    mine, starts = perfect('mine')
    exact, _ = perfect('exact')
    evaluate(clips, (mine,), store=store)
    scores = evaluate(clips, (exact, mine), store=store, resume=True)
    assert len(starts) == 4
    assert scores['mine']['moving'].iou_to_exact == {1: 1}


def damage_record(folder):
    (folder / 'mine' / 'moving.json').write_text('{"key"')


def lose_a_mask(folder):
    (folder / 'mine' / 'moving' / '00003.png').unlink()


@pytest.mark.parametrize('spoil', [damage_record, lose_a_mask])
def test_what_is_damaged_is_done_again(clips, store, tmp_path, spoil):
    mode, starts = perfect('mine')
    evaluate(clips, (mode,), store=store)
    spoil(tmp_path / 'out' / 'preset')
    evaluate(clips, (mode,), store=store, resume=True)
    assert len(starts) == 3


def test_results_of_other_weights_are_not_taken_up(clips, store, tmp_path):
    mode, starts = perfect('mine')
    evaluate(clips, (mode,), store=store)
    other = ResultStore(tmp_path / 'out', 'preset', {'checkpoint': 'def'})
    evaluate(clips, (mode,), store=other, resume=True)
    assert len(starts) == 4


def test_an_interrupted_clip_leaves_no_result(clips, store):
    broken, _ = scripted('mine', {5: MOVING[:3]})
    with pytest.raises(IndexError):
        evaluate({'moving': clips['moving']}, (broken,), store=store)
    assert store.load('mine', clips['moving']) is None


def test_stored_masks_are_results_in_the_layout_of_davis(clips, store, tmp_path, root):
    mode, _ = scripted('mine', {5: [np.roll(truth, 6, 1) for truth in MOVING], 6: CHANGING})
    scores = evaluate(clips, (mode,), store=store)
    truths = tmp_path / 'truths'
    for name in clips:
        (root / name / 'masks').rename(
            truths.joinpath(name).parent.mkdir(exist_ok=True) or truths / name
        )
    results = tmp_path / 'out' / 'preset' / 'mine'
    jf, j, f, _ = benchmark([str(truths)], [str(results)], num_processes=1, verbose=False)
    mean = combine(scores['mine'].values())
    assert (100 * mean.j, 100 * mean.f, 100 * mean.jf) == pytest.approx((j[0], f[0], jf[0]))


def test_report_has_the_published_fields(clips):
    exact, _ = perfect('exact')
    stock, _ = perfect('stock')
    stock = Mode('stock', '', stock.start)
    scores = evaluate(clips, (exact, stock, *pick_modes([])))
    report = json.loads(json.dumps(to_json(scores, {'preset': 'abc'})))
    assert report['preset'] == 'abc'
    assert list(report['modes']) == ['exact', 'stock', 'copy_first', 'flow_warp']
    for mode in report['modes'].values():
        assert {
            'jf', 'j', 'f', 'iou_to_exact', 'ms_per_frame', 'ms_stock',
            'active_realised', 'false_mask_rate', 'sequences',
        } <= mode.keys()  # fmt: skip
        assert mode['ms_stock'] == report['modes']['stock']['ms_per_frame'] > 0
        assert list(mode['sequences']) == ['changing', 'moving']
        for sequence in mode['sequences'].values():
            assert sequence['jf'] == pytest.approx((sequence['j'] + sequence['f']) / 2)
    assert report['modes']['copy_first']['active_realised'] is None
    apart = {name: mode['difference'] for name, mode in report['modes'].items()}
    assert apart['exact'] is None
    copied = report['modes']['copy_first']
    assert apart['copy_first']['points'] == pytest.approx(100 * (copied['jf'] - 1))
    # Clips weigh by their objects: 2 in the one, 1 in the other.
    by_clip = [100 * (copied['sequences'][name]['jf'] - 1) for name in ('changing', 'moving')]
    assert (apart['copy_first']['low'], apart['copy_first']['high']) == (None, None)  # too few
    assert apart['copy_first']['points'] == pytest.approx((2 * by_clip[0] + by_clip[1]) / 3)
    assert (apart['copy_first']['clips'], apart['stock']['baseline']) == (2, 'exact')
    without = to_json(evaluate(clips, pick_modes([])), {})
    assert without['modes']['copy_first']['difference'] is None
    assert without['modes']['copy_first']['ms_stock'] is None


def test_picking_modes():
    assert [mode.name for mode in pick_modes(['exact'])] == ['exact', 'copy_first', 'flow_warp']
    assert [mode.name for mode in pick_modes(['flow_warp'], floors=False)] == ['flow_warp']
    assert isinstance(pick_modes(['flow_warp'])[0], Floor)
    with pytest.raises(ConfigError, match="unknown mode 'fast'; allowed: exact, swr, smr, paper, "):
        pick_modes(['exact', 'fast'])
    with pytest.raises(ConfigError, match='no mode is given'):
        pick_modes([], floors=False)


def test_an_object_that_is_never_predicted_scores_zero(clips):
    empty, _ = scripted('mine', {5: [squares()] * 5})
    scores = evaluate({'moving': clips['moving']}, (empty,))
    assert combine(scores['mine'].values()).jf == 0
