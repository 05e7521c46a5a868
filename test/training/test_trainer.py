# SPDX-License-Identifier: Apache-2.0
"""The trainer: it runs, it resumes bit for bit, and what it exports loads strictly."""

import json

import pytest
import torch
from safetensors.torch import load_file

from esam2_ros.core.compact import build_compact
from esam2_ros.training.config import Phase
from esam2_ros.training.config import Recipe
from esam2_ros.training.config import Shape
from esam2_ros.training.export import export
from esam2_ros.training.state import StateError
from esam2_ros.training.state import fresh
from esam2_ros.training.state import load
from esam2_ros.training.trainer import Trainer

CPU = torch.device('cpu')
SHAPES = (Shape(size=64, frames=3, clips=1, targets=3),)
RECIPE = Recipe(phases=(Phase(steps=2, shapes=SHAPES, forced=0.5), Phase(steps=2, shapes=SHAPES)))


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """Two steps, saved; then the third step's loss."""
    folder = tmp_path_factory.mktemp('trained')
    trainer = Trainer(RECIPE, fresh(RECIPE, CPU), folder, CPU)
    losses = [trainer.step(*RECIPE.locate(n)).loss.item() for n in range(2)]
    trainer.save()
    losses.append(trainer.step(*RECIPE.locate(2)).loss.item())
    return folder, losses


def test_steps_change_every_part_of_the_model(trained):
    folder, losses = trained
    assert all(0 < loss < 20 for loss in losses)
    before = fresh(RECIPE, CPU).model.state_dict()
    after = load(folder / 'state.pt', RECIPE, CPU).model.state_dict()
    for part in ('image_encoder', 'memory_attention', 'memory_encoder', 'sam_mask_decoder'):
        names = [n for n in before if n.startswith(part) and before[n].ndim > 1]
        assert any(not torch.equal(before[n], after[n]) for n in names), part


def test_resuming_gives_the_same_next_loss_bit_for_bit(trained, tmp_path):
    folder, losses = trained
    again = Trainer(RECIPE, load(folder / 'state.pt', RECIPE, CPU), tmp_path, CPU)
    assert again.step(*RECIPE.locate(2)).loss.item() == losses[2]


def test_the_carried_state_is_small_and_goes_on(trained, tmp_path):
    folder, _ = trained
    assert (folder / 'carried.pt').stat().st_size < 16 * 2**20
    state = load(folder / 'carried.pt', RECIPE, CPU)
    assert (state.step, state.rested) == (2, 2)
    Trainer(RECIPE, state, tmp_path, CPU).step(*RECIPE.locate(2))


def test_run_stops_at_the_end_of_the_recipe_and_saves(tmp_path):
    trainer = Trainer(RECIPE, fresh(RECIPE, CPU), tmp_path, CPU)
    trainer.run(None, lambda progress: None)
    assert trainer.state.step == 4
    assert RECIPE.locate(4) is None
    assert {path.name for path in tmp_path.iterdir()} >= {'state.pt', 'carried.pt'}


def test_the_export_loads_strictly_and_is_not_replaced_by_a_worse_one(trained, tmp_path):
    folder, _ = trained
    target = tmp_path / 'compact.safetensors'
    first = export(folder / 'carried.pt', target, clips=1, frames=2, image_size=256)
    weights = load_file(target)
    build_compact(256).load_state_dict(weights, strict=True)
    assert target.stat().st_size == first.size <= 12 * 2**20
    sidecar = json.loads(target.with_suffix('.json').read_text())
    assert (sidecar['sha256'], sidecar['steps']) == (first.sha256, 2)
    assert not export(folder / 'carried.pt', target, clips=1, frames=2, image_size=256).replaced


def test_a_foreign_file_is_refused(tmp_path):
    torch.save({'kind': 'other'}, tmp_path / 'x.pt')
    with pytest.raises(StateError, match="'other'"):
        load(tmp_path / 'x.pt', RECIPE, CPU)


def test_the_learning_rate_warms_up_and_runs_linearly():
    phase = Phase(steps=100, shapes=SHAPES, lr_from=1e-3, lr_to=0.0)
    recipe = Recipe(phases=(phase, phase), warmup=10)
    rates = [recipe.locate(step)[1] for step in (0, 50, 100)]
    assert rates == pytest.approx([1e-4, 5e-4, 1e-3])
