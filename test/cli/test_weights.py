# SPDX-License-Identifier: Apache-2.0
"""`esam2 weights` says what is there, gets what is not, and judges files by their tensors."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from esam2_ros.cli.main import run
from esam2_ros.core.models import build_model
from esam2_ros.weights import download
from esam2_ros.weights import registry

CONTENT = b'not a real checkpoint' * 1000


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    """Empty package and cache folders, and one official checkpoint with a digest we can meet."""
    package, cache = tmp_path / 'package', tmp_path / 'cache'
    package.mkdir()
    monkeypatch.setattr(registry, 'package_dir', lambda: package)
    monkeypatch.setenv('ESAM2_CACHE', str(cache))
    tiny = replace(
        registry.find('tiny'), size=len(CONTENT), sha256=hashlib.sha256(CONTENT).hexdigest()
    )
    monkeypatch.setattr(registry, 'OFFICIAL', (tiny, *registry.OFFICIAL[1:]))
    return tmp_path


@pytest.fixture
def served(monkeypatch) -> list[str]:
    """Stand in for the network: every opened URL answers with CONTENT."""
    opened: list[str] = []

    def receive(url, part, size, progress, timeout_s):
        opened.append(url)
        part.begin(url, '"x"')
        part.path.write_bytes(CONTENT)
        progress(len(CONTENT), len(CONTENT))

    monkeypatch.setattr(download, '_receive', receive)
    return opened


def run_json(capsys, *arguments: str) -> tuple[int, dict]:
    code = run([*arguments, '--json'])
    return code, json.loads(capsys.readouterr().out)


def test_list_shows_every_state(home, capsys):
    cache = registry.cache_dir()
    cache.mkdir()
    (cache / 'sam2.1_hiera_tiny.pt').write_bytes(CONTENT)
    (cache / 'sam2.1_hiera_small.pt').write_bytes(b'half')
    (cache / 'sam2.1_hiera_large.pt.part').touch()
    code, shown = run_json(capsys, 'weights', 'list')
    assert code == 0
    assert shown['cache'] == str(cache)
    assert {row['name']: row['here'] for row in shown['checkpoints']} == {
        'compact': 'absent',
        'sam2.1_hiera_tiny': 'downloaded',
        'sam2.1_hiera_small': 'damaged',
        'sam2.1_hiera_base_plus': 'absent',
        'sam2.1_hiera_large': 'unfinished',
    }
    tiny = shown['checkpoints'][1]
    assert tiny['url'] == (
        'https://dl.fbaipublicfiles.com/segment_anything_2/092824/sam2.1_hiera_tiny.pt'
    )
    assert tiny['licence'] == 'Apache-2.0'


def test_list_for_people(home, capsys):
    assert run(['weights', 'list']) == 0
    shown = capsys.readouterr().out
    assert '898.1 MB' in shown
    assert '2647878d5dfa' in shown


def test_fetch_then_again(home, served, capsys):
    path = registry.cache_dir() / 'sam2.1_hiera_tiny.pt'
    for fresh in (True, False):
        code, shown = run_json(capsys, 'weights', 'fetch', 'tiny')
        assert code == 0
        assert shown['checkpoints'] == [
            {'name': 'sam2.1_hiera_tiny', 'path': str(path), 'downloaded': fresh}
        ]
    assert path.read_bytes() == CONTENT
    assert len(served) == 1
    assert run(['weights', 'fetch', 'tiny', '--force']) == 0
    assert 'downloaded, good' in capsys.readouterr().out
    assert len(served) == 2


def test_fetch_of_a_wrong_file_is_code_2(home, served, capsys):
    assert run(['weights', 'fetch', 'small']) == 2
    shown = capsys.readouterr()
    assert shown.out == ''
    assert 'sam2.1_hiera_small.pt.part has 21000 bytes, expected 184416285' in shown.err
    assert not (registry.cache_dir() / 'sam2.1_hiera_small.pt').exists()


def test_check_of_an_empty_disk(home, capsys):
    code, shown = run_json(capsys, 'weights', 'check')
    assert (code, shown) == (0, {'good': True, 'checkpoints': []})
    assert run(['weights', 'check']) == 0
    assert 'no checkpoint here' in capsys.readouterr().out


@pytest.mark.parametrize(
    ('content', 'condition', 'message'),
    [
        (None, 'absent', 'run `esam2 weights fetch sam2.1_hiera_tiny`'),
        (b'short', 'damaged', 'has 5 bytes, expected 21000'),
        (CONTENT.replace(b'real', b'fake'), 'damaged', 'SHA-256'),
        (CONTENT, 'damaged', 'not a checkpoint'),  # the right bytes by the digest, but no tensors
    ],
)
def test_check_of_a_registered_name(home, capsys, content, condition, message):
    if content is not None:
        registry.cache_dir().mkdir()
        (registry.cache_dir() / 'sam2.1_hiera_tiny.pt').write_bytes(content)
    code, shown = run_json(capsys, 'weights', 'check', 'tiny')
    assert code == 1
    assert shown['good'] is False
    assert shown['checkpoints'][0]['condition'] == condition
    assert message in shown['checkpoints'][0]['message']


@pytest.fixture
def compact_file(tmp_path) -> Path:
    path = tmp_path / 'mine.pt'
    torch.save({'model': build_model('compact', 256, seed=1).state_dict()}, path)
    return path


@pytest.mark.parametrize(
    ('model', 'code', 'condition'),
    [('', 0, 'good'), ('compact', 0, 'good'), ('tiny', 1, 'misfit')],
)
def test_check_of_a_file(home, compact_file, capsys, model, code, condition):
    extra = ['--model', model] if model else []
    done, shown = run_json(capsys, 'weights', 'check', str(compact_file), *extra)
    assert done == code
    verdict = shown['checkpoints'][0]
    assert verdict['condition'] == condition
    assert verdict['model'] == ('sam2.1_hiera_tiny' if model == 'tiny' else 'compact')
    assert ('it is a checkpoint of compact' in verdict['message']) == (condition == 'misfit')


def test_check_for_people(home, compact_file, capsys):
    assert run(['weights', 'check', str(compact_file), 'absent.pt']) == 1
    shown = capsys.readouterr().out
    assert 'good' in shown
    assert 'absent' in shown


def test_check_against_an_unknown_model(home, compact_file, capsys):
    assert run(['weights', 'check', str(compact_file), '--model', 'huge']) == 2
    assert "unknown model 'huge'" in capsys.readouterr().err
