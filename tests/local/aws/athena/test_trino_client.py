"""The client of Trino against a server of its protocol: which statements are sent again and which are not."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from local.aws.athena import trino_client
from local.aws.athena.trino_client import EngineError, TrinoQuery, all_rows
from local.aws.settings import AwsSettings
from local.commands.aws_server import aws_settings
from local.settings import Settings
from tests.support.ports import free_ports

Reply = dict[str, object]


def failed(name: str) -> Reply:
    return {"error": {"errorName": name, "errorType": "INSUFFICIENT_RESOURCES", "message": f"said {name}"}}


ROW: Reply = {"columns": [{"name": "a", "type": "integer", "typeSignature": {"rawType": "integer"}}], "data": [[1]]}


@contextmanager
def trino(tmp_path: Path, replies: list[Reply]) -> Iterator[AwsSettings]:
    """A server that answers each statement with the next reply and removes that from ``replies``."""
    settings = aws_settings(Settings(tmp_path, free_ports(10)))

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            body = json.dumps({"id": "q", "infoUri": "", "stats": {"state": "FINISHED"}} | replies.pop(0)).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", settings.trino_port), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield settings
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_statement_that_found_no_node_is_sent_again(tmp_path: Path) -> None:
    replies = [failed(trino_client.NO_NODES), failed(trino_client.NO_NODES), ROW]
    with trino(tmp_path, replies) as settings:
        assert all_rows(TrinoQuery(settings, "select 1", "default")) == [[1]]
    assert replies == []


def test_any_other_failure_ends_the_statement(tmp_path: Path) -> None:
    replies = [failed("CLUSTER_OUT_OF_MEMORY"), ROW]
    with (
        trino(tmp_path, replies) as settings,
        pytest.raises(EngineError, match="said CLUSTER_OUT_OF_MEMORY"),
    ):
        all_rows(TrinoQuery(settings, "select 1", "default"))
    assert replies == [ROW]


def test_waiting_for_a_node_has_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trino_client, "NO_NODES_SECONDS", 0)
    with trino(tmp_path, [failed(trino_client.NO_NODES)] * 2) as settings, pytest.raises(EngineError):
        all_rows(TrinoQuery(settings, "select 1", "default"))
