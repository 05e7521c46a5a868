# SPDX-License-Identifier: Apache-2.0
"""Teaching a shortcut: only it learns, it beats the identity, and it goes on where it stopped."""

import json

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from esam2_ros.cli.main import app
from esam2_ros.core.engine import Engine
from esam2_ros.core.models import build_model
from esam2_ros.core.shortcut import Shortcut
from esam2_ros.errors import ConfigError
from esam2_ros.training.shortcut import ShortcutTrainer
from esam2_ros.training.shortcut_samples import dense_engine
from esam2_ros.training.shortcut_samples import draw_clip
from esam2_ros.training.shortcut_samples import samples
from esam2_ros.training.shortcut_state import ShortcutRecipe
from esam2_ros.training.shortcut_state import fresh
from esam2_ros.training.shortcut_state import load
from esam2_ros.training.shortcut_state import save
from esam2_ros.training.state import StateError
from esam2_ros.weights.loading import load_model
from esam2_ros.weights.shortcuts import load_shortcut

RECIPE = ShortcutRecipe(
    clips=4, frames=4, targets=2, lr=5e-3, warmup=2, ema=0.8, validation_clips=1
)


@pytest.fixture(scope='module')
def model():
    return load_model('compact', device='cpu', image_size=256)


def engine_and_clips(model, count):
    """The dense frame path and a few clips of five frames."""
    return dense_engine(model), [draw_clip(256, 5, 1, number, 'train') for number in range(count)]


def test_samples_follow_the_published_rule(model):
    engine, clips = engine_and_clips(model, 2)
    found = [s for clip in clips for s in samples(engine, clip, 2, np.random.default_rng(0), 0.0)]
    assert 1 <= len(found) <= 6  # frames 2, 3 and 4 of each clip
    for sample in found:
        assert sample.active == tuple(sorted(set(sample.active)))
        assert 0 < len(sample.active) < engine.grid.count
        assert sample.goal.shape == (len(sample.memories), 128, 16, 16)
        assert all(each.frame >= 2 for each in sample.memories)
        # The goal is what the untouched frame path gives for the memories kept.
        with torch.no_grad():
            again = engine.condition(engine.encode(sample.image), sample.memories)
        torch.testing.assert_close(sample.goal, again, rtol=1e-4, atol=1e-4)


def test_where_the_rule_computes_everything_a_part_around_the_targets_is_taken():
    engine, clips = engine_and_clips(build_model('compact', 256, seed=0), 2)
    found = [s for clip in clips for s in samples(engine, clip, 1, np.random.default_rng(0))]
    assert found
    assert all(0 < len(sample.active) < engine.grid.count for sample in found)


def test_the_gradient_reaches_the_shortcut_and_nothing_else(model, tmp_path):
    before = {name: value.clone() for name, value in model.state_dict().items()}
    trainer = ShortcutTrainer(model, RECIPE, fresh(model, RECIPE), tmp_path)
    trainer.lesson()
    trainer.lesson()
    for name, value in trainer.state.shortcut.named_parameters():
        assert value.grad is not None and value.grad.abs().sum() > 0, name
    assert all(parameter.grad is None for parameter in model.parameters())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_it_beats_the_identity_and_goes_on_bit_for_bit(model, tmp_path):
    trainer = ShortcutTrainer(model, RECIPE, fresh(model, RECIPE), tmp_path)
    start = trainer.validate()
    assert (start.ratio, start.frames > 0) == (pytest.approx(1.0, abs=1e-4), True)
    trainer.lesson()
    save(trainer.state, tmp_path / 'half.pt')
    score = trainer.run(None, lambda progress: None)
    assert score.ratio < 0.95
    assert score.identity == pytest.approx(start.identity)
    assert (trainer.state.clips, trainer.state.updates > 6) == (4, True)

    again = ShortcutTrainer(model, RECIPE, load(tmp_path / 'half.pt', model, RECIPE), tmp_path)
    again.run(None, lambda progress: None)
    for name, value in trainer.state.average.state_dict().items():
        assert torch.equal(value, again.state.average.state_dict()[name]), name
    rows = [json.loads(line) for line in (tmp_path / 'log.jsonl').read_text().splitlines()]
    assert rows[-1]['score']['ratio'] == pytest.approx(score.ratio)


def test_the_loss_on_every_target_is_that_of_the_routed_frame_path(model, tmp_path):
    """The trainer's own tables give what routing gives at work."""
    state = fresh(model, RECIPE)
    torch.nn.init.normal_(state.shortcut.up_project.weight, std=0.05)
    trainer = ShortcutTrainer(model, RECIPE, state, tmp_path)
    engine, (clip,) = engine_and_clips(model, 1)
    sample = next(samples(engine, clip, 2, np.random.default_rng(0), 0.0))
    with torch.no_grad():
        mine = trainer._loss(trainer._encoder, sample)
    routed = Engine(model, prompt_slots=1, shortcut=state.shortcut.eval())
    with torch.inference_mode():
        features = routed.encode(sample.image, sample.active)
        wanted = (routed.condition(features, sample.memories) - sample.goal).square().mean()
    assert mine.item() == pytest.approx(wanted.item(), rel=1e-3)


@pytest.mark.parametrize('name', ['tiny', 'base_plus'])
def test_official_models_have_a_shortcut_of_their_width(name):
    network = build_model(name, 256, seed=0)
    state = fresh(network, RECIPE)
    assert state.shortcut.norm.weight.shape[0] == {'tiny': 384, 'base_plus': 448}[name]
    tokens = torch.randn(3, state.shortcut.norm.weight.shape[0])
    assert torch.equal(state.shortcut(tokens), tokens)


def test_a_state_of_other_weights_is_refused(model, tmp_path):
    save(fresh(build_model('compact', 256, seed=5), RECIPE), tmp_path / 'state.pt')
    with pytest.raises(StateError, match='other weights than this model has'):
        load(tmp_path / 'state.pt', model, RECIPE)


def test_no_target_in_the_held_out_clips_is_refused_at_once(model, monkeypatch, tmp_path):
    monkeypatch.setattr('esam2_ros.training.shortcut.held_out', lambda *_: [])
    trainer = ShortcutTrainer(model, RECIPE, fresh(model, RECIPE), tmp_path)
    with pytest.raises(ConfigError, match='no target to judge by in 1 held-out clips'):
        trainer.run(None, lambda progress: None)
    assert trainer.state.updates == 0


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        ({'frames': 2}, 'frames is 2; allowed: 3 to 64'),
        ({'lr': -1.0}, 'lr is -1.0; allowed: 0.0 to 1.0'),
        ({'clips': 0}, 'clips is 0; allowed: 1 to 1000000'),
    ],
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        ShortcutRecipe(**settings)


def test_the_rate_warms_up_and_falls():
    recipe = ShortcutRecipe(clips=100, lr=1e-3, warmup=10)
    rates = [recipe.rate(0, 0), recipe.rate(50, 600), recipe.rate(100, 1200)]
    assert rates == pytest.approx([1e-4, 5e-4, 2e-5])


def test_the_command_teaches_and_writes(model, tmp_path):
    """`esam2 train shortcut`, two clips."""
    folder, out = tmp_path / 'run', tmp_path / 'made.safetensors'
    command = ['train', 'shortcut', '--model', 'compact', '--size', '256', '--device', 'cpu']
    command += ['--clips', '2', '--frames', '4', '--held-out', '1', '--minutes', '0']
    command += ['--folder', str(folder), '--out', str(out)]
    done = CliRunner().invoke(app, [*command, '--json'])
    assert done.exit_code == 0, done.output
    facts = json.loads(done.stdout)
    assert (facts['clips'], facts['written'], facts['path']) == (2, True, str(out))
    assert facts['ratio'] == pytest.approx(facts['loss'] / facts['identity'])
    assert isinstance(load_shortcut(model, out), Shortcut)
    again = CliRunner().invoke(app, command)
    assert isinstance(again.exception, ConfigError)
    assert 'go on with --resume' in str(again.exception)
