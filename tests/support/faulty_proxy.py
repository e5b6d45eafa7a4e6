"""A proxy between a client and its service that records each exchange and, if a test plans it, makes some fail.

Everything else passes unchanged, Host included, so signatures stay valid. Failures are drawn from a seeded Random.
"""

from __future__ import annotations

import http.client
import json
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

# What a proxy can do to a request
UNAVAILABLE = "unavailable"  # answers 503 SlowDown (S3) or ServiceUnavailableException; the service never sees it
THROTTLED = "throttled"  # answers ThrottlingException
CONFLICT = "conflict"  # answers ConcurrentModificationException
REPLY_LOST = "reply lost"  # passes it on and cuts the connection instead of answering
CUT = "cut"  # cuts the connection at once

_SKIPPED = {"transfer-encoding", "connection", "date", "server"}
_CODES = {
    UNAVAILABLE: (503, "ServiceUnavailableException", "Service is unavailable"),
    THROTTLED: (400, "ThrottlingException", "Rate exceeded"),
    CONFLICT: (400, "ConcurrentModificationException", "The table was modified by another request"),
}
_SLOW_DOWN = b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"


@dataclass(frozen=True)
class Exchange:
    """One request and its reply. ``path`` is decoded and has no query; ``size`` is the length of the reply's body."""

    method: str
    path: str
    action: str  # of a JSON protocol, e.g. AWSGlue.UpdateTable
    went_wrong: str | None
    status: int  # 0 when the client got no reply
    size: int
    ended: float = field(default_factory=time.monotonic, compare=False)  # seconds; when it was answered or cut

    @property
    def service(self) -> str:
        """glue, firehose, ... by the protocol's target; s3 for every other."""
        return {"AWSGlue": "glue", "Firehose_20150804": "firehose"}.get(self.action.partition(".")[0], "s3")


# Given a request's method, path and action: how it fails, or None
Decision = Callable[[str, str, str], str | None]


@dataclass
class Plan:
    """Which share of the requests fails, and how; only those for which ``applies(method, path, action)`` is true."""

    random: random.Random
    shares: dict[str, float] = field(default_factory=dict)
    applies: Callable[[str, str, str], bool] = lambda method, path, action: True  # noqa: ARG005
    at_most: int | None = None  # faults in total; None: no limit

    def __post_init__(self) -> None:
        self._lock = threading.Lock()

    def __call__(self, method: str, path: str, action: str) -> str | None:
        """How this request fails; None when it does not."""
        with self._lock:
            if not self.applies(method, path, action) or self.at_most == 0:
                return None
            drawn = self.random.random()
            for what, share in self.shares.items():
                drawn -= share
                if drawn < 0:
                    self.at_most = None if self.at_most is None else self.at_most - 1
                    return what
            return None


@dataclass
class Proxy:
    """A running proxy. ``plan`` may be changed at any time; None passes everything on."""

    url: str
    target: str
    plan: Decision | None = None
    exchanges: list[Exchange] = field(default_factory=list)

    def wrong(self, what: str | None = None) -> list[Exchange]:
        """The exchanges that failed, or only those that failed in this way."""
        return [one for one in self.exchanges if one.went_wrong and what in (None, one.went_wrong)]

    def pauses(self) -> list[float]:
        """Seconds between each refusal and the same request's next try."""
        found, refused = [], dict[tuple[str, str, str], float]()
        for one in self.exchanges:
            request = (one.method, one.path, one.action)
            if request in refused:
                found.append(one.ended - refused.pop(request))
            if one.went_wrong:
                refused[request] = one.ended
        return found


class _Server(ThreadingHTTPServer):
    request_queue_size = 128
    proxy: Proxy

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that drops its idle connection is no error."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def _serve(self) -> None:
        proxy = self.server.proxy
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        path, action = unquote(urlsplit(self.path).path), self.headers.get("X-Amz-Target", "")
        wrong = proxy.plan(self.command, path, action) if proxy.plan else None
        status, content, headers = 0, b"", [("Content-Type", "application/xml")]
        if wrong in _CODES:
            status, content = self._refusal(wrong, action)
        elif wrong != CUT:
            try:
                status, content, headers = self._pass_on(proxy.target, body)
            except (OSError, http.client.HTTPException):  # the service is down
                wrong = CUT
        if wrong in (CUT, REPLY_LOST):
            self.close_connection = True
            status, content = 0, b""
        proxy.exchanges.append(Exchange(self.command, path, action, wrong, status, len(content)))
        if status:
            self._answer(status, content, headers)

    def _refusal(self, wrong: str, action: str) -> tuple[int, bytes]:
        status, code, message = _CODES[wrong]
        return status, json.dumps({"__type": code, "message": message}).encode() if action else _SLOW_DOWN

    def _pass_on(self, target: str, body: bytes) -> tuple[int, bytes, list[tuple[str, str]]]:
        upstream = http.client.HTTPConnection(urlsplit(target).netloc)
        try:
            upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():  # Host, too: it is signed
                upstream.putheader(name, value)
            upstream.endheaders(body)
            reply = upstream.getresponse()
            kept = [(name, value) for name, value in reply.getheaders() if name.lower() not in _SKIPPED]
            return reply.status, reply.read(), kept
        finally:
            upstream.close()

    def _answer(self, status: int, content: bytes, headers: list[tuple[str, str]]) -> None:
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        if not any(name.lower() == "content-length" for name, _ in headers):
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _serve  # noqa: N815

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Say nothing."""


@contextmanager
def faulty_proxy(target: str, plan: Decision | None = None) -> Iterator[Proxy]:
    """Run one in front of ``target`` (http://host:port) on a free port."""
    with _Server(("127.0.0.1", 0), _Handler) as server:
        server.proxy = Proxy(f"http://127.0.0.1:{server.server_address[1]}", target, plan)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server.proxy
        finally:
            server.shutdown()
