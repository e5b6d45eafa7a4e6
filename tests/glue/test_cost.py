"""What an hourly run opens: counted on the wire between Iceberg and S3."""

from __future__ import annotations

import http.client
import re
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

from tests.glue.lake import TestLake, at, event

pytestmark = [pytest.mark.spark, pytest.mark.services]


@contextmanager
def counting_proxy(target: str) -> Iterator[tuple[str, Counter[str]]]:
    """A proxy that passes everything on unchanged, and counts the bytes that each GET of a data file returns."""
    read: Counter[str] = Counter()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _pass_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            upstream = http.client.HTTPConnection(urlsplit(target).netloc)
            upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():  # Host, too: it is signed
                upstream.putheader(name, value)
            upstream.endheaders(body)
            reply = upstream.getresponse()
            content = reply.read()
            path = unquote(urlsplit(self.path).path)
            if self.command == "GET" and re.search(r"/data/.*\.parquet$", path):
                read[path] += len(content)
            self.send_response(reply.status)
            for name, value in reply.getheaders():
                if name.lower() not in {"transfer-encoding", "connection", "date", "server"}:
                    self.send_header(name, value)
            if "Content-Length" not in reply.headers:
                self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)
            upstream.close()

        do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _pass_on  # noqa: N815

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            """Say nothing."""

    class Server(ThreadingHTTPServer):
        def handle_error(self, request: Any, client_address: Any) -> None:
            """A client that drops its idle connection is no error."""

    server = Server(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", read
    finally:
        server.shutdown()
        server.server_close()


def _location(url: str) -> dict[str, str]:
    """Bucket and key of an s3:// URL."""
    parts = urlsplit(url)
    return {"Bucket": parts.netloc, "Key": parts.path.lstrip("/")}


def test_an_hourly_run_opens_the_last_days_files_and_no_older_ones(
    lake: TestLake, aws_environment: dict[str, str]
) -> None:
    old = at("2026-11-01 12:00:00")
    for stream in range(8):  # a file each
        lake.land(old, *(event(old) for _ in range(500)), stream=f"stream{stream}-1-")
    lake.hourly()
    yesterday = old + timedelta(days=8)
    recent = lake.land(yesterday, *(event(yesterday) for _ in range(5)))
    lake.hourly()
    assert lake.data_files() == 9
    (recent_file,) = {
        row.path for row in lake.films().where(f"source_file = '{recent}'").selectExpr("_file path").collect()
    }

    now = yesterday + timedelta(hours=1)
    lake.land(now, event(now))
    with counting_proxy(aws_environment["AWS_ENDPOINT_URL"]) as (url, read):
        counted = lake.spark.newSession()
        counted.conf.set("spark.sql.catalog.glue_catalog.s3.endpoint", url)
        measured = TestLake(counted, lake.s3, lake.landing, lake.curated)
        report = measured.hourly()
        opened = {f"s3:/{path}": size for path, size in read.items() if "/streaming_films/" in path}
        assert report.landed == 1
        assert opened.keys() == {recent_file}
        # Measured: the reads of this file of 8 KB return seven times its size.
        assert sum(opened.values()) < 10 * lake.s3.head_object(**_location(recent_file))["ContentLength"]
        assert measured.films().where("event_id IS NOT NULL").count() == 4006
        assert len([path for path in read if "/streaming_films/" in path]) == 10  # the proxy does see what is opened
