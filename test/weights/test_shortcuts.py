# SPDX-License-Identifier: Apache-2.0
"""Shortcut weights: which files are taken, for which model, and how others are refused."""

import os
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from esam2_ros.core.models import build_model
from esam2_ros.core.shortcut import Shortcut
from esam2_ros.errors import CheckpointError
from esam2_ros.weights import shortcuts
from esam2_ros.weights.loading import load_model
from esam2_ros.weights.shortcuts import fingerprint
from esam2_ros.weights.shortcuts import load_shortcut
from esam2_ros.weights.shortcuts import save_shortcut
from esam2_ros.weights.shortcuts import stage_width

DATA = os.environ.get('ESAM2_DATA')


@pytest.fixture(scope='module')
def compact():
    return build_model('compact', 256, seed=3)


@pytest.fixture
def taught():
    """A shortcut of the compact model's width that is not the identity."""
    torch.manual_seed(0)
    made = Shortcut(128)
    torch.nn.init.normal_(made.up_project.weight, std=0.01)
    return made.state_dict()


@pytest.fixture
def no_package(monkeypatch, tmp_path):
    monkeypatch.setattr(shortcuts, 'package_dir', lambda: tmp_path)
    return tmp_path


@pytest.mark.skipif(DATA is None, reason='ESAM2_DATA is not set')
@pytest.mark.parametrize(('name', 'width'), [('base_plus', 448), ('large', 576)])
def test_the_published_files_load(name, width):
    model = build_model(name, 256)
    assert stage_width(model) == width
    path = Path(DATA) / 'checkpoints' / f'shortcut_{name}.pth'
    shortcut = load_shortcut(model, path)
    stored = torch.load(path, map_location='cpu', weights_only=True)
    tokens = torch.randn(5, width, generator=torch.Generator().manual_seed(0))
    normed = torch.nn.functional.layer_norm(
        tokens, (width,), stored['norm.weight'], stored['norm.bias'], 1e-6
    )
    hidden = (normed @ stored['down_project.weight'].T + stored['down_project.bias']).relu()
    wanted = tokens + hidden @ stored['up_project.weight'].T + stored['up_project.bias']
    torch.testing.assert_close(shortcut(tokens), wanted)
    assert not any(p.requires_grad for p in shortcut.parameters())
    assert load_shortcut(model) is None


def test_what_is_saved_is_half_as_large_and_comes_back(compact, taught, tmp_path):
    path = tmp_path / 'made.safetensors'
    save_shortcut(taught, path, compact, {'model': 'compact'})
    assert {value.dtype for value in load_file(path).values()} == {torch.float16}
    with safe_open(path, 'pt') as file:
        assert file.metadata()['taught_on'] == fingerprint(compact)
    state = load_shortcut(compact, path).state_dict()
    assert list(state) == list(taught)
    for name, value in state.items():
        assert torch.equal(value, taught[name].half().float()), name


@pytest.mark.parametrize('size', [256, 512])
def test_the_packaged_file_serves_the_weights_it_was_taught_on(
    compact, taught, no_package, caplog, size
):
    save_shortcut(taught, no_package / shortcuts.PACKAGED, compact, {})
    model = build_model('compact', size, seed=3)
    assert load_shortcut(model) is not None
    assert load_shortcut(model, '') is not None
    assert load_shortcut(model, 'identity') is None
    assert not caplog.records
    assert load_shortcut(build_model('compact', size, seed=4)) is None
    assert 'taught on other weights' in caplog.text


def test_without_a_packaged_file_it_is_the_identity(compact, no_package):
    assert load_shortcut(compact) is None


def test_a_named_file_of_other_weights_is_taken_with_a_warning(compact, taught, tmp_path, caplog):
    path = tmp_path / 'made.safetensors'
    save_shortcut(taught, path, build_model('compact', 256, seed=4), {})
    assert load_shortcut(compact, path) is not None
    assert f'{path} was taught on other weights' in caplog.text


def _without(state, name):
    return {key: value for key, value in state.items() if key != name}


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (lambda s: _without(s, 'norm.bias'), r'1 missing \(norm.bias\)'),
        (lambda s: {**s, 'gate': torch.ones(1)}, r'1 unexpected \(gate\)'),
        (
            lambda s: {**s, 'norm.bias': torch.ones(64)},
            r'1 of another shape \(norm.bias: \[64\], needs \[128\]\)',
        ),
        (lambda s: Shortcut(448).state_dict(), r'128 channels \(compact\).* is one of base_plus'),
        (lambda s: {**s, 'norm.bias': torch.full((128,), float('nan'))}, r'NaN .* norm.bias'),
        (
            lambda s: {},
            r'5 missing|6 missing.*none of compact.*allowed: norm.weight, norm.bias, down_project',
        ),
    ],
)
def test_a_file_that_does_not_fit_is_refused(compact, taught, tmp_path, change, message):
    path = tmp_path / 'other.pth'
    torch.save(change(taught), path)
    with pytest.raises(CheckpointError, match=message):
        load_shortcut(compact, path)


@pytest.mark.parametrize(
    ('name', 'content', 'message'),
    [
        ('absent.pth', None, 'no such file'),
        ('cut.pth', b'PK\x03\x04 nothing', 'damaged or not a checkpoint'),
        ('cut.safetensors', b'\xff' * 40, 'damaged or not a checkpoint'),
        ('weights.txt', b'', 'unknown kind of file; allowed: .safetensors, .pt, .pth'),
    ],
)
def test_a_file_that_cannot_be_read_is_refused(compact, tmp_path, name, content, message):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CheckpointError, match=message):
        load_shortcut(compact, path)


def test_a_file_that_would_run_code_is_refused(compact, tmp_path):
    path = tmp_path / 'code.pth'
    torch.save({'norm.weight': Path('x')}, path)
    with pytest.raises(CheckpointError, match='holds more than tensors'):
        load_shortcut(compact, path)


def test_a_damaged_packaged_file_is_refused(compact, no_package):
    (no_package / shortcuts.PACKAGED).write_bytes(b'\xff' * 40)
    with pytest.raises(CheckpointError, match='damaged or not a checkpoint'):
        load_shortcut(compact)


def test_the_packaged_one_belongs_to_the_packaged_model():
    model = load_model('compact', device='cpu')
    shortcut = load_shortcut(model)
    assert shortcut is not None
    assert shortcut.up_project.weight.abs().max() > 0.01  # it learnt something
