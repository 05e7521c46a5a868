# SPDX-License-Identifier: Apache-2.0
"""A download is whole and checked, or it is not there."""

import hashlib
import shutil
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock

from esam2_ros.errors import CheckpointError
from esam2_ros.weights.download import Patience
from esam2_ros.weights.download import download

QUICK = Patience(attempts=3, backoff_s=0.001, timeout_s=5.0)
ONCE = Patience(attempts=1, backoff_s=0.001, timeout_s=5.0)


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def ranges(server) -> list[str | None]:
    return [headers.get('Range') for headers in server.requests]


def break_off(server, target: Path, after: int = 10_000) -> None:
    """Leave the first bytes of the file behind, as a killed download does."""
    server.breaks_after = [after]
    with pytest.raises(CheckpointError, match='gave up after 1 attempts'):
        download(server.url, target, patience=ONCE)
    assert not target.exists()


def test_a_whole_file_arrives_with_its_progress(server, tmp_path):
    target = tmp_path / 'deep' / 'model.pt'
    seen = []
    size = len(server.content)
    download(
        server.url,
        target,
        size=size,
        sha256=sha256(server.content),
        progress=lambda done, total: seen.append((done, total)),
    )
    assert target.read_bytes() == server.content
    assert seen[0] == (0, size)
    assert seen[-1] == (size, size)
    assert seen == sorted(seen)
    assert not list(target.parent.glob('*.part*'))


def test_a_broken_transfer_goes_on_where_it_stopped(server, tmp_path):
    server.breaks_after = [10_000, 20_000]
    download(server.url, tmp_path / 'model.pt', sha256=sha256(server.content), patience=QUICK)
    assert (tmp_path / 'model.pt').read_bytes() == server.content
    assert ranges(server) == [None, 'bytes=10000-', 'bytes=30000-']
    assert server.requests[1].get('If-Range') == '"one"'


def test_the_next_call_goes_on_where_the_last_gave_up(server, tmp_path):
    break_off(server, tmp_path / 'model.pt')
    download(server.url, tmp_path / 'model.pt', patience=QUICK)
    assert (tmp_path / 'model.pt').read_bytes() == server.content
    assert ranges(server) == [None, 'bytes=10000-']


def test_giving_up_says_how_often_and_from_where(server, tmp_path):
    server.breaks_after = [1000, 1000, 1000]
    with pytest.raises(
        CheckpointError,
        match=r'gave up after 3 attempts \(the connection closed after 3000 of 51200 bytes\); '
        r'the next one goes on from byte 3000',
    ):
        download(server.url, tmp_path / 'model.pt', patience=QUICK)


def no_range(server) -> None:
    server.honours_range = False


def wrong_range(server) -> None:
    server.range_shift = -100


def changed_file(server) -> None:
    server.content, server.etag = b'another' * 3000, '"two"'


def changed_file_shorter_than_the_part(server) -> None:
    server.content, server.etag = b'short', '"two"'


def changed_file_and_no_if_range(server) -> None:
    changed_file(server)
    server.honours_if_range = False


def shrunk_file_and_no_if_range(server) -> None:
    changed_file_shorter_than_the_part(server)
    server.honours_if_range = False


@pytest.mark.parametrize(
    'change',
    [
        no_range,
        wrong_range,
        changed_file,  # If-Range makes the server send the new file whole
        changed_file_shorter_than_the_part,
        changed_file_and_no_if_range,  # a 206 whose ETag gives it away
        shrunk_file_and_no_if_range,  # 416
    ],
)
def test_what_cannot_be_resumed_starts_anew(server, tmp_path, change: Callable[..., None]):
    break_off(server, tmp_path / 'model.pt')
    change(server)
    seen = []
    download(
        server.url,
        tmp_path / 'model.pt',
        progress=lambda done, total: seen.append((done, total)),
        patience=QUICK,
    )
    size = len(server.content)
    assert (tmp_path / 'model.pt').read_bytes() == server.content
    assert (seen[0], seen[-1]) == ((0, size), (size, size))


@pytest.mark.parametrize('etag', ['', 'W/"weak"'])
def test_without_a_strong_validator_nothing_is_resumed(server, tmp_path, etag):
    server.etag = etag
    break_off(server, tmp_path / 'model.pt')
    download(server.url, tmp_path / 'model.pt', patience=QUICK)
    assert ranges(server) == [None, None]
    assert (tmp_path / 'model.pt').read_bytes() == server.content


def test_another_url_does_not_go_on_with_the_part(server, tmp_path):
    break_off(server, tmp_path / 'model.pt')
    download(server.url + '?v=2', tmp_path / 'model.pt', patience=QUICK)
    assert ranges(server) == [None, None]


def test_a_complete_part_is_only_checked_and_renamed(server, tmp_path):
    server.breaks_after = [len(server.content)]
    with pytest.raises(CheckpointError, match='SHA-256'):
        download(server.url, tmp_path / 'model.pt', sha256='0' * 64, patience=ONCE)
    (tmp_path / 'model.pt.part').write_bytes(server.content)
    facts = f'{{"url": "{server.url}", "validator": "\\"one\\""}}'
    (tmp_path / 'model.pt.part.json').write_text(facts)
    download(server.url, tmp_path / 'model.pt', size=len(server.content), patience=ONCE)
    assert len(server.requests) == 1
    assert (tmp_path / 'model.pt').read_bytes() == server.content


def test_a_wrong_checksum_leaves_nothing(server, tmp_path):
    wrong = '0' * 64
    with pytest.raises(CheckpointError, match=f'{sha256(server.content)}, expected {wrong}'):
        download(server.url, tmp_path / 'model.pt', sha256=wrong, patience=QUICK)
    assert not list(tmp_path.glob('model.pt')) + list(tmp_path.glob('*.part*'))
    assert len(server.requests) == 1


def test_a_wrong_size_is_refused_and_keeps_the_part(server, tmp_path):
    break_off(server, tmp_path / 'model.pt')
    server.content, server.etag = b'please log in', '"portal"'
    with pytest.raises(CheckpointError, match='offers 13 bytes, expected 51200'):
        download(server.url, tmp_path / 'model.pt', size=51_200, patience=QUICK)
    assert (tmp_path / 'model.pt.part').stat().st_size == 10_000


@pytest.mark.parametrize(
    ('statuses', 'requests'),
    [
        ([404], 1),  # final at once
        ([403], 1),
        ([503, 503, 503], 3),  # worth trying again, but not for ever
    ],
)
def test_refusals_of_the_server(server, tmp_path, statuses, requests):
    code = statuses[0]
    server.statuses = statuses
    with pytest.raises(CheckpointError, match=str(code)):
        download(server.url, tmp_path / 'model.pt', patience=QUICK)
    assert len(server.requests) == requests


def test_a_server_that_recovers(server, tmp_path):
    server.statuses = [503, 429]
    download(server.url, tmp_path / 'model.pt', patience=QUICK)
    assert (tmp_path / 'model.pt').read_bytes() == server.content


def test_a_stalled_server_times_out(server, tmp_path):
    server.stalls, server.breaks_after = True, [100]
    with pytest.raises(CheckpointError, match='timed out'):
        download(server.url, tmp_path / 'model.pt', patience=Patience(1, 0.001, 0.2))


def test_nobody_listening(tmp_path):
    with pytest.raises(CheckpointError, match=r'gave up after 2 attempts .*refused\)$'):
        download('http://127.0.0.1:9/x.pt', tmp_path / 'x.pt', patience=Patience(2, 0.001, 1.0))


@pytest.mark.parametrize(
    'url', ['http://example.org/x.pt', 'file:///etc/hostname', 'ftp://example.org/x.pt', 'x.pt']
)
def test_only_https(url, tmp_path):
    with pytest.raises(CheckpointError, match='allowed: https'):
        download(url, tmp_path / 'x.pt')


def test_a_redirect_is_held_to_the_same_rule(server, tmp_path):
    server.statuses, server.location = [302], 'http://example.org/x.pt'
    with pytest.raises(CheckpointError, match=r"refused to download from 'http://example\.org"):
        download(server.url, tmp_path / 'model.pt', patience=QUICK)


def test_a_redirect_that_is_allowed(server, tmp_path):
    server.statuses, server.location = [302], server.url
    download(server.url, tmp_path / 'model.pt', patience=QUICK)
    assert (tmp_path / 'model.pt').read_bytes() == server.content


def test_a_full_disk_is_noticed_before(server, tmp_path, monkeypatch):
    usage = namedtuple('usage', 'total used free')
    monkeypatch.setattr(shutil, 'disk_usage', lambda _: usage(10**9, 10**9 - 10**6, 10**6))
    with pytest.raises(CheckpointError, match=r'1\.0 MB free, the download needs 0\.1 MB'):
        download(server.url, tmp_path / 'model.pt', patience=QUICK)
    assert not (tmp_path / 'model.pt').exists()


def test_a_folder_that_cannot_be_made(server, tmp_path):
    (tmp_path / 'file').touch()
    with pytest.raises(CheckpointError, match='cannot write'):
        download(server.url, tmp_path / 'file' / 'model.pt', patience=QUICK)


def test_two_at_once(server, tmp_path):
    with (
        FileLock(tmp_path / 'model.pt.lock'),
        pytest.raises(CheckpointError, match='being downloaded by another process'),
    ):
        download(server.url, tmp_path / 'model.pt', patience=QUICK)
