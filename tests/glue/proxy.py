"""A proxy between Iceberg and the emulator: it counts what S3 gives, and may answer in the emulator's place."""

from __future__ import annotations

import http.client
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

_KINDS = {
    "data": r"/data/.*\.parquet$",
    "table": r"/metadata/.*\.metadata\.json$",
    "list": r"/metadata/snap-.*\.avro$",
    "manifest": r"/metadata/.*\.avro$",
}


@dataclass
class Opened:
    """What was read: (kind, path, bytes) of each GET of a file of a table; kinds: data, table, list, manifest."""

    reads: list[tuple[str, str, int]] = field(default_factory=list)

    def add(self, path: str, size: int) -> None:
        """Count a GET."""
        for kind, pattern in _KINDS.items():
            if re.search(pattern, path):
                self.reads.append((kind, path, size))
                return

    def files(self, kind: str) -> set[str]:
        """Paths."""
        return {path for one, path, _ in self.reads if one == kind}

    def gets(self, kind: str) -> int:
        """Requests: a file may be read in parts, and more than once."""
        return sum(1 for one, _, _ in self.reads if one == kind)

    def bytes(self, kind: str) -> int:
        """Over all GETs."""
        return sum(size for one, _, size in self.reads if one == kind)


class Fate(Enum):
    """What becomes of a request."""

    ANSWERED = "passed on, and its reply too"
    UNANSWERED = "passed on; the client gets a 500 instead of the reply"
    UNHEARD = "not passed on; the client gets a 500"


def _answered(_: str) -> Fate:
    return Fate.ANSWERED


@contextmanager
def proxy(target: str, fate: Callable[[str], Fate] = _answered) -> Iterator[tuple[str, Opened]]:
    """A proxy before ``target``; its URL, and what was read through it. ``fate`` is given X-Amz-Target, "" for S3."""
    opened = Opened()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _pass_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            becomes = fate(self.headers.get("X-Amz-Target", ""))
            status, headers, content = 500, [("Content-Type", "application/x-amz-json-1.1")], b"{}"
            if becomes is not Fate.UNHEARD:
                answer = self._ask(body)
                if becomes is Fate.ANSWERED:
                    status, headers, content = answer
            if self.command == "GET" and status < 300:
                opened.add(unquote(urlsplit(self.path).path), len(content))
            self.send_response(status)
            for name, value in headers:
                if name.lower() not in {"transfer-encoding", "connection", "date", "server"}:
                    self.send_header(name, value)
            if "content-length" not in {name.lower() for name, _ in headers}:
                self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def _ask(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
            upstream = http.client.HTTPConnection(urlsplit(target).netloc)
            upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():  # Host, too: it is signed
                upstream.putheader(name, value)
            upstream.endheaders(body)
            reply = upstream.getresponse()
            content = reply.read()
            upstream.close()
            return reply.status, reply.getheaders(), content

        do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _pass_on  # noqa: N815

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            """Say nothing."""

    class Server(ThreadingHTTPServer):
        def handle_error(self, request: Any, client_address: Any) -> None:
            """A client that drops its idle connection is no error."""

    server = Server(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", opened
    finally:
        server.shutdown()
        server.server_close()
