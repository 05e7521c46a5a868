# SPDX-License-Identifier: Apache-2.0
"""Weights arrive whole, in fp32, from files that cannot run code; anything else is refused."""

import json
import os
import pickle
import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from esam2_ros.core.models import build_model
from esam2_ros.errors import CheckpointError
from esam2_ros.errors import ConfigError
from esam2_ros.weights import registry
from esam2_ros.weights.digest import sha256_of
from esam2_ros.weights.loading import load_model
from esam2_ros.weights.loading import pick_device
from esam2_ros.weights.loading import read_state


@pytest.fixture(scope='module')
def state() -> dict[str, torch.Tensor]:
    return build_model('compact', 256, seed=5).state_dict()


def made_up(name: str) -> dict[str, torch.Tensor]:
    """Tensors of an official checkpoint's names and shapes; one number each, so tiny on disk."""
    root = os.environ.get('ESAM2_DATA')
    if not root:
        pytest.skip('needs ESAM2_DATA')
    text = (Path(root) / 'schemas' / f'schema_{name}.json').read_text()
    return {
        key: torch.full((1,), 0.01 * row).expand(shape)
        for row, (key, (shape, _)) in enumerate(json.loads(text).items())
    }


def test_a_made_up_official_checkpoint_loads(tmp_path):
    tensors = made_up('sam2.1_hiera_tiny')
    torch.save({'model': tensors}, tmp_path / 'tiny.pt')
    model = load_model('tiny', tmp_path / 'tiny.pt', device='cpu', image_size=512)
    loaded = model.state_dict()
    assert len(loaded) == 471
    assert all(torch.equal(loaded[key], tensor) for key, tensor in tensors.items())
    assert not model.training
    assert not any(parameter.requires_grad for parameter in model.parameters())
    assert model.image_size == 512


@pytest.mark.parametrize('name', ['small', 'base_plus', 'large'])
def test_another_official_checkpoint_is_named(tmp_path, name):
    full = f'sam2.1_hiera_{name}'
    torch.save({'model': made_up(full)}, tmp_path / 'other.pt')
    with pytest.raises(
        CheckpointError,
        match=rf'does not fit sam2\.1_hiera_tiny: .*; it is a checkpoint of {full}$',
    ):
        load_model('tiny', tmp_path / 'other.pt', device='cpu')


def test_an_official_checkpoint_short_of_one_tensor(tmp_path):
    tensors = made_up('sam2.1_hiera_tiny')
    del tensors['no_obj_embed_spatial']
    torch.save({'model': tensors}, tmp_path / 'tiny.pt')
    with pytest.raises(CheckpointError) as refusal:
        load_model('tiny', tmp_path / 'tiny.pt', device='cpu')
    assert str(refusal.value) == (
        f'{tmp_path}/tiny.pt does not fit sam2.1_hiera_tiny: 1 missing (no_obj_embed_spatial); '
        'nearest is sam2.1_hiera_tiny: 470 of 471 tensors are like its own'
    )


@pytest.mark.parametrize('wrapped', [True, False])
@pytest.mark.parametrize('suffix', ['pt', 'pth'])
def test_torch_files(tmp_path, state, wrapped, suffix):
    path = tmp_path / f'x.{suffix}'
    torch.save({'model': state, 'step': 3} if wrapped else state, path)
    model = load_model('compact', str(path), device='cpu', image_size=256)
    assert all(torch.equal(tensor, state[key]) for key, tensor in model.state_dict().items())


def test_half_precision_files_become_single(tmp_path, state):
    save_file({key: tensor.half() for key, tensor in state.items()}, tmp_path / 'x.safetensors')
    model = load_model('compact', tmp_path / 'x.safetensors', device='cpu', image_size=256)
    for key, tensor in model.state_dict().items():
        assert tensor.dtype == torch.float32
        assert torch.equal(tensor, state[key].half().float())


def missing(state):
    state.pop('no_obj_ptr')


def unexpected(state):
    state['head.bias'] = torch.zeros(3)


def reshaped(state):
    state['no_obj_ptr'] = torch.zeros(1, 7)


def not_finite(state):
    state['no_obj_ptr'] = torch.full((1, 128), torch.nan)


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (missing, r'does not fit compact: 1 missing \(no_obj_ptr\); nearest is compact'),
        (unexpected, r'does not fit compact: 1 unexpected \(head.bias\); nearest is compact'),
        (
            reshaped,
            r'compact: 1 of another shape \(no_obj_ptr: \[1, 7\], needs \[1, 128\]\); nearest',
        ),
        (not_finite, r'NaN or infinity in 1 tensors, first no_obj_ptr'),
    ],
)
def test_tensors_that_do_not_fit(tmp_path, state, change, message):
    changed = dict(state)
    change(changed)
    torch.save(changed, tmp_path / 'x.pt')
    with pytest.raises(CheckpointError, match=message):
        load_model('compact', tmp_path / 'x.pt', device='cpu', image_size=256)


class Malicious:
    """Pickles into a call that writes a file."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self):
        return (os.mkdir, (str(self.target),))


@pytest.mark.parametrize('way', ['torch.save', 'pickle'])
def test_code_in_a_checkpoint_is_refused_and_never_runs(tmp_path, way):
    trap = tmp_path / 'trap'
    content = {'model': {'weight': Malicious(trap)}}
    if way == 'torch.save':
        torch.save(content, tmp_path / 'x.pt')
    else:
        (tmp_path / 'x.pt').write_bytes(pickle.dumps(content, protocol=2))
    with pytest.raises(CheckpointError, match=r'refused, it holds more than tensors \(posix.mkdir'):
        read_state(tmp_path / 'x.pt')
    assert not trap.exists()


def torch_file(tensors: dict[str, torch.Tensor], path: Path) -> bytes:
    torch.save(tensors, path)
    return path.read_bytes()


@pytest.mark.parametrize(
    ('name', 'spoil'),
    [
        ('x.pt', lambda whole: whole[: len(whole) // 2]),  # cut off
        ('x.pt', lambda _: b''),
        ('x.pt', lambda _: b'<html>please log in</html>'),
        ('x.pt', lambda _: b'hello world' * 100),
        ('x.safetensors', lambda _: b''),
        ('x.safetensors', lambda _: b'hello world' * 100),
    ],
)
def test_damaged_files(tmp_path, name, spoil):
    whole = torch_file({'weight': torch.ones(1000)}, tmp_path / 'good.pt')
    (tmp_path / name).write_bytes(spoil(whole))
    with pytest.raises(CheckpointError, match=rf'{re.escape(name)}: damaged or not a checkpoint'):
        read_state(tmp_path / name)


def test_a_cut_off_safetensors_file(tmp_path):
    path = tmp_path / 'x.safetensors'
    save_file({'weight': torch.ones(100)}, path)
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(CheckpointError, match=r'damaged or not a checkpoint .*incomplete'):
        read_state(path)


@pytest.mark.parametrize('content', [[1, 2], {'model': {'weight': 3}}, {'model': 3}])
def test_files_without_a_state_dict(tmp_path, content):
    torch.save(content, tmp_path / 'x.pt')
    with pytest.raises(CheckpointError, match='holds no state dict'):
        read_state(tmp_path / 'x.pt')


@pytest.mark.parametrize(
    ('name', 'message'),
    [
        ('absent.pt', 'no such file'),
        ('model.onnx', r'unknown kind of file; allowed: \.safetensors, \.pt, \.pth'),
    ],
)
def test_paths_that_cannot_be_read(tmp_path, name, message):
    with pytest.raises(CheckpointError, match=message):
        read_state(tmp_path / name)


@pytest.fixture
def packaged(tmp_path, monkeypatch, state) -> Path:
    """A package folder with a compact checkpoint and its sidecar."""
    monkeypatch.setattr(registry, 'package_dir', lambda: tmp_path)
    path = tmp_path / 'compact.safetensors'
    save_file({key: tensor.half() for key, tensor in state.items()}, path)
    (tmp_path / 'compact.json').write_text(json.dumps({'sha256': sha256_of(path)}))
    return path


@pytest.mark.parametrize('checkpoint', [None, ''])
def test_the_packaged_checkpoint_is_the_default(packaged, state, checkpoint):
    model = load_model('compact', checkpoint, device='cpu')
    assert model.image_size == 512
    assert torch.equal(model.no_obj_ptr, state['no_obj_ptr'].half().float())


def test_a_changed_packaged_checkpoint_is_refused(packaged):
    content = bytearray(packaged.read_bytes())
    content[-1] ^= 1
    packaged.write_bytes(content)
    with pytest.raises(CheckpointError, match=r'compact\.safetensors has SHA-256 .*, expected'):
        load_model('compact', device='cpu')


def test_an_official_checkpoint_is_never_downloaded_on_the_way(tmp_path, monkeypatch):
    monkeypatch.setenv('ESAM2_CACHE', str(tmp_path))
    with pytest.raises(CheckpointError, match=r'run `esam2 weights fetch sam2\.1_hiera_large`'):
        load_model('large', device='cpu')


def test_random_weights_are_repeatable_and_say_so(caplog):
    first, again, other = (
        load_model('compact', 'random', device='cpu', image_size=256, seed=seed)
        for seed in (1, 1, 2)
    )
    name = 'image_encoder.trunk.patch_embed.proj.weight'
    assert torch.equal(first.state_dict()[name], again.state_dict()[name])
    assert not torch.equal(first.state_dict()[name], other.state_dict()[name])
    assert 'compact has random weights (seed 1): its masks mean nothing' in caplog.text


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        ({'name': 'huge'}, "unknown model 'huge'"),
        ({'name': 'compact', 'image_size': 300}, 'image_size is 300'),
        ({'name': 'compact', 'device': 'tpu'}, "device is 'tpu'; allowed here: auto, cpu"),
        ({'name': 'compact', 'device': 'cuda:99'}, "device is 'cuda:99'"),
    ],
)
def test_wrong_settings(settings, message):
    with pytest.raises(ConfigError, match=message):
        load_model(**settings, checkpoint='random')


def test_devices():
    assert pick_device('cpu') == torch.device('cpu')
    assert pick_device(torch.device('cpu')) == torch.device('cpu')
    assert pick_device('auto').type == ('cuda' if torch.cuda.is_available() else 'cpu')
