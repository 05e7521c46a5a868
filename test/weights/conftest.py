# SPDX-License-Identifier: Apache-2.0
"""A file server on this machine that can misbehave in every way a download must survive."""

import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from dataclasses import field
from email.message import Message
from http.server import BaseHTTPRequestHandler
from http.server import ThreadingHTTPServer

import pytest


@dataclass
class FileServer:
    """Serves `content` under every path; a list is used up, one entry a request."""

    content: bytes = bytes(range(256)) * 200
    etag: str = '"one"'
    honours_range: bool = True
    honours_if_range: bool = True
    range_shift: int = 0  # sends bytes from another place than asked
    breaks_after: list[int] = field(default_factory=list)  # bytes of the body before it hangs up
    stalls: bool = False
    statuses: list[int] = field(default_factory=list)  # answers instead of the file
    location: str = ''  # where a redirect leads
    requests: list[Message] = field(default_factory=list)  # headers of what was asked
    port: int = 0
    released: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        return f'http://127.0.0.1:{self.port}/model.pt'

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        self.requests.append(handler.headers)
        if self.statuses:
            handler.send_response(self.statuses.pop(0))
            handler.send_header('Location', self.location)
            handler.send_header('Content-Length', '0')
            handler.end_headers()
            return
        start = self._start(handler.headers)
        if start >= len(self.content):
            handler.send_error(416)
            return
        self._send(handler, start)

    def _start(self, headers: Message) -> int:
        asked = re.fullmatch(r'bytes=(\d+)-', headers.get('Range', ''))
        same = headers.get('If-Range') in (None, self.etag) or not self.honours_if_range
        return int(asked[1]) + self.range_shift if asked and same and self.honours_range else 0

    def _send(self, handler: BaseHTTPRequestHandler, start: int) -> None:
        body = self.content[start:]
        handler.send_response(206 if start else 200)
        if start:
            total = len(self.content)
            handler.send_header('Content-Range', f'bytes {start}-{total - 1}/{total}')
        if self.etag:
            handler.send_header('ETag', self.etag)
        handler.send_header('Content-Length', str(len(body)))
        handler.end_headers()
        handler.wfile.write(body[: self.breaks_after.pop(0)] if self.breaks_after else body)
        handler.wfile.flush()
        if self.stalls:
            self.released.wait(10)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    """A fresh file server; the proxies of this machine are kept out of it."""
    monkeypatch.setenv('no_proxy', '127.0.0.1')
    files = FileServer()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            files.answer(self)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(('127.0.0.1', 0), Handler) as http:
        files.port = http.server_port
        thread = threading.Thread(target=http.serve_forever, kwargs={'poll_interval': 0.01})
        thread.start()
        yield files
        files.released.set()
        http.shutdown()
        thread.join()
