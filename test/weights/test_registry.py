# SPDX-License-Identifier: Apache-2.0
"""The registry names the right files and places."""

import json
import re
from pathlib import Path

import pytest

from esam2_ros.core.models import MODELS
from esam2_ros.errors import CheckpointError
from esam2_ros.weights import registry
from esam2_ros.weights.digest import sha256_of


def test_one_checkpoint_for_every_model():
    assert [entry.model for entry in registry.checkpoints()] == list(MODELS)


@pytest.mark.parametrize('entry', registry.OFFICIAL, ids=lambda entry: entry.model)
def test_official_entries_are_complete(entry):
    assert entry.url == (
        f'https://dl.fbaipublicfiles.com/segment_anything_2/092824/{entry.model}.pt'
    )
    assert entry.licence == 'Apache-2.0'
    assert re.fullmatch('[0-9a-f]{64}', entry.sha256)
    assert not entry.packaged


# A float32 checkpoint is its parameters and the names around them.
@pytest.mark.parametrize(
    ('name', 'parameters'),
    [
        ('tiny', 38_962_754),
        ('small', 46_060_610),
        ('base_plus', 80_850_434),
        ('large', 224_446_898),
    ],
)
def test_sizes_agree_with_the_models(name, parameters):
    size = registry.find(name).size
    assert 0 < size - 4 * parameters < 400_000


def test_short_names():
    for name in ('tiny', 'small', 'base_plus', 'large'):
        assert registry.find(name) == registry.find(f'sam2.1_hiera_{name}')


def test_an_unknown_name_lists_the_known():
    with pytest.raises(CheckpointError, match=r"unknown checkpoint 'huge'; allowed: compact, sam2"):
        registry.find('huge')


@pytest.mark.parametrize(
    ('own', 'xdg', 'expected'),
    [
        ('/a/b', '/c', '/a/b'),  # ours wins
        ('', '/c', '/c/esam2_ros'),
        ('', '', '~/.cache/esam2_ros'),
        ('~/weights', '', '~/weights'),
    ],
)
def test_cache_dir(monkeypatch, own, xdg, expected):
    monkeypatch.setenv('ESAM2_CACHE', own)
    monkeypatch.setenv('XDG_CACHE_HOME', xdg)
    assert registry.cache_dir() == Path(expected).expanduser()


def test_the_packaged_file_is_the_one_its_sidecar_names():
    entry = registry.compact()
    if not entry.path.is_file():
        pytest.skip('the package was built without its compact checkpoint')
    assert entry.sha256 == sha256_of(entry.path)
    assert entry.path.stat().st_size <= 12 * 2**20


def test_the_sidecar_gives_size_and_digest(tmp_path, monkeypatch):
    monkeypatch.setattr(registry, 'package_dir', lambda: tmp_path)
    (tmp_path / 'compact.json').write_text(json.dumps({'size': 7, 'sha256': 'ab', 'jf': 0.8}))
    assert (registry.compact().size, registry.compact().sha256) == (7, 'ab')


def test_a_broken_sidecar_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(registry, 'package_dir', lambda: tmp_path)
    (tmp_path / 'compact.json').write_text('{')
    with pytest.raises(CheckpointError, match=r'compact\.json: not JSON'):
        registry.compact()
