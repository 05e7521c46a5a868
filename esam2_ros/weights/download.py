# SPDX-License-Identifier: Apache-2.0
"""Download one file over HTTPS so that it is whole or not there: resumed, checked, renamed."""

import http.client
import json
import logging
import os
import re
import shutil
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

from filelock import FileLock
from filelock import Timeout

from esam2_ros import __version__
from esam2_ros.errors import CheckpointError
from esam2_ros.weights.digest import verify_file

_log = logging.getLogger(__name__)

_CHUNK = 1 << 18
_PROGRESS = 1 << 20  # this many new bytes forgive the failures before them
_SPARE_DISK = 1 << 24
_RETRIED_STATUS = frozenset({408, 416, 425, 429, 500, 502, 503, 504})
_LOCAL_HOSTS = frozenset({'localhost', '127.0.0.1', '::1'})

# Called with the bytes there so far and the bytes expected (None when the server does not say).
Progress = Callable[[int, int | None], None]


@dataclass(frozen=True)
class Patience:
    """How long to put up with a bad connection.

    `attempts` counts failures in a row, `backoff_s` doubles after each up to half a minute, and
    `timeout_s` bounds the wait for a connection and for every read.
    """

    attempts: int = 5
    backoff_s: float = 1.0
    timeout_s: float = 30.0


class _TransferError(Exception):
    """The transfer stopped early; what is on disk can be carried on from."""


def _check_url(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme == 'https' or (parts.scheme == 'http' and parts.hostname in _LOCAL_HOSTS):
        return
    raise CheckpointError(f'refused to download from {url!r}; allowed: https URLs')


class _CheckedRedirects(urllib.request.HTTPRedirectHandler):
    """Hold a redirect to the rule of the first URL."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        _check_url(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


class _Part:
    """The first bytes of a file, and what its server called the version they belong to."""

    def __init__(self, target: Path) -> None:
        self.path = target.with_name(target.name + '.part')
        self._facts = target.with_name(target.name + '.part.json')

    def length(self) -> int:
        return self.path.stat().st_size if self.path.exists() else 0

    def resume_point(self, url: str) -> tuple[int, str]:
        """Offset to go on from, and the validator the server must still agree with."""
        try:
            facts = json.loads(self._facts.read_text(encoding='utf-8'))
        except (OSError, ValueError):
            return 0, ''
        if facts.get('url') != url or not facts.get('validator'):
            return 0, ''
        return self.length(), str(facts['validator'])

    def begin(self, url: str, validator: str) -> None:
        self.discard()
        self._facts.write_text(json.dumps({'url': url, 'validator': validator}), encoding='utf-8')

    def discard(self) -> None:
        self.path.unlink(missing_ok=True)
        self._facts.unlink(missing_ok=True)

    def finish(self, target: Path) -> None:
        with self.path.open('rb') as file:
            os.fsync(file.fileno())
        self.path.replace(target)
        self._facts.unlink(missing_ok=True)


def download(
    url: str,
    target: Path,
    *,
    size: int | None = None,
    sha256: str | None = None,
    progress: Progress | None = None,
    patience: Patience | None = None,
) -> None:
    """Download `url` to `target`, which appears only when it is complete and checked.

    An interrupted transfer leaves `<target>.part`; the next call goes on from there (RFC 9110
    section 14, Range with If-Range), or starts anew if the server's file is another one by then.
    `size` in bytes and `sha256` are checked where given. Raises CheckpointError for a refused
    URL, a server that fails `patience.attempts` times in a row, a wrong size or digest, a full
    disk, or a download of the same file by another process.
    """
    _check_url(url)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(target.with_name(target.name + '.lock'), timeout=0):
            part = _Part(target)
            _receive_all(url, part, size, progress, patience or Patience())
            try:
                verify_file(part.path, size, sha256)
            except CheckpointError as error:
                part.discard()
                raise CheckpointError(f'{url}: {error}; the download was thrown away') from error
            part.finish(target)
    except Timeout as error:
        raise CheckpointError(f'{target} is being downloaded by another process') from error
    except OSError as error:
        raise CheckpointError(f'cannot write {target}: {error.strerror or error}') from error


def _receive_all(
    url: str, part: _Part, size: int | None, progress: Progress | None, patience: Patience
) -> None:
    failures = 0
    while True:
        before = part.length()
        try:
            return _receive(url, part, size, progress, patience.timeout_s)
        except _TransferError as error:
            failures = 1 if part.length() - before >= _PROGRESS else failures + 1
            if failures >= patience.attempts:
                kept = part.length()
                hint = f'; the next one goes on from byte {kept}' if kept else ''
                raise CheckpointError(
                    f'{url}: gave up after {failures} attempts ({error}){hint}'
                ) from error
            wait = min(patience.backoff_s * 2 ** (failures - 1), 30.0)
            _log.warning('%s: %s; trying again in %.1f s', url, error, wait)
        time.sleep(wait)


def _receive(
    url: str, part: _Part, size: int | None, progress: Progress | None, timeout_s: float
) -> None:
    offset, validator = part.resume_point(url)
    if size is not None and offset == size:
        return
    headers = {'User-Agent': f'esam2_ros/{__version__}'}
    if offset:
        headers |= {'Range': f'bytes={offset}-', 'If-Range': validator}
    with _open(urllib.request.Request(url, headers=headers), part, timeout_s) as response:
        resumed = response.status == 206
        if resumed:
            total = _agreed_total(response, part, offset, validator)
        else:
            total = _whole_number(response.headers.get('Content-Length'))
        # Before the part is touched: a captive portal's page must not cost what is on disk.
        if None not in (size, total) and total != size:
            raise CheckpointError(f'{url}: the server offers {total} bytes, expected {size}')
        if not resumed:
            part.begin(url, _validator(response.headers))
            offset = 0
        _check_disk(part.path, (total or size or 0) - offset)
        _copy(response, part.path, offset, total, size, progress)


def _open(
    request: urllib.request.Request, part: _Part, timeout_s: float
) -> http.client.HTTPResponse:
    try:
        opener = urllib.request.build_opener(_CheckedRedirects)
        response: http.client.HTTPResponse = opener.open(request, timeout=timeout_s)
    except urllib.error.HTTPError as error:
        with suppress(OSError):
            error.close()
        if error.code == 416:
            part.discard()
        elif error.code not in _RETRIED_STATUS:
            raise CheckpointError(f'{request.full_url}: {error}') from error
        raise _TransferError(str(error)) from error
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, 'reason', error)
        if isinstance(reason, ssl.SSLCertVerificationError):
            raise CheckpointError(f'{request.full_url}: {reason}') from error
        raise _TransferError(str(reason) or type(reason).__name__) from error
    return response


def _validator(headers: http.client.HTTPMessage) -> str:
    # A weak ETag does not promise equal bytes, so RFC 9110 bars it from If-Range.
    etag: str = headers.get('ETag', '')
    return etag if etag and not etag.startswith('W/') else str(headers.get('Last-Modified', ''))


def _whole_number(text: str | None) -> int | None:
    return int(text) if text and text.isdecimal() else None


def _agreed_total(
    response: http.client.HTTPResponse, part: _Part, offset: int, validator: str
) -> int | None:
    """Length of the whole file; a server that answers for other bytes means a fresh start."""
    answer = response.headers.get('Content-Range', '')
    match = re.fullmatch(r'bytes (\d+)-\d+/(\d+|\*)', answer)
    now = _validator(response.headers)
    if match is None or int(match[1]) != offset or (now and now != validator):
        part.discard()
        raise _TransferError(f'the server sent {answer or "no range"} of another file')
    return _whole_number(match[2])


def _check_disk(path: Path, needed: int) -> None:
    free = shutil.disk_usage(path.parent).free
    if needed + _SPARE_DISK > free:
        raise CheckpointError(
            f'{path.parent}: {free / 1e6:.1f} MB free, the download needs {needed / 1e6:.1f} MB'
        )


def _copy(
    response: http.client.HTTPResponse,
    path: Path,
    done: int,
    total: int | None,
    size: int | None,
    progress: Progress | None,
) -> None:
    expected = total if total is not None else size
    with path.open('ab') as file:
        while True:
            if progress is not None:
                progress(done, expected)
            try:
                chunk = response.read(_CHUNK)
            except (OSError, http.client.HTTPException) as error:
                raise _TransferError(str(error) or type(error).__name__) from error
            if not chunk:
                break
            file.write(chunk)
            done += len(chunk)
    if expected is not None and done < expected:
        raise _TransferError(f'the connection closed after {done} of {expected} bytes')
