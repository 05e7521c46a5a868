# SPDX-License-Identifier: Apache-2.0
"""Fetching leaves good files alone, replaces bad ones, and every refusal names its cure."""

import hashlib
from dataclasses import replace

import pytest

from esam2_ros.errors import CheckpointError
from esam2_ros.weights import registry
from esam2_ros.weights.store import fetch
from esam2_ros.weights.store import require
from esam2_ros.weights.store import verify


@pytest.fixture
def entry(server, tmp_path, monkeypatch) -> registry.Checkpoint:
    """The tiny model's entry, with the test server's file in the place of the real one."""
    monkeypatch.setenv('ESAM2_CACHE', str(tmp_path))
    digest = hashlib.sha256(server.content).hexdigest()
    return replace(registry.find('tiny'), url=server.url, size=len(server.content), sha256=digest)


def test_fetch_downloads_once(server, entry):
    assert fetch(entry) is True
    assert fetch(entry) is False
    assert len(server.requests) == 1
    assert fetch(entry, force=True) is True
    assert entry.path.read_bytes() == server.content
    verify(entry)


@pytest.mark.parametrize('damage', [b'', b'x' * 51_200], ids=['truncated', 'same size'])
def test_fetch_replaces_a_damaged_file(server, entry, damage, caplog):
    entry.path.write_bytes(damage)
    with pytest.raises(CheckpointError):
        verify(entry)
    assert fetch(entry) is True
    assert entry.path.read_bytes() == server.content
    assert 'downloading it again' in caplog.text


def test_an_absent_file_names_the_command(entry):
    with pytest.raises(CheckpointError, match=r'run `esam2 weights fetch sam2\.1_hiera_tiny`'):
        require(entry)


def test_an_unfinished_file_names_size_and_command(entry):
    entry.path.write_bytes(b'half')
    with pytest.raises(CheckpointError, match='has 4 bytes, expected 51200; run `esam2 weights'):
        require(entry)


def test_a_missing_packaged_file_is_no_download(tmp_path, monkeypatch):
    monkeypatch.setattr(registry, 'package_dir', lambda: tmp_path)
    with pytest.raises(CheckpointError, match='missing from the installed package; reinstall'):
        fetch(registry.compact())
