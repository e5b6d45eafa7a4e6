"""The sender: limits of a call, only failed records again, every acknowledged id written down, the rate kept."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError, ConnectTimeoutError
from hypothesis import given
from hypothesis import strategies as st

from kdg import sender as module
from kdg.__main__ import main
from kdg.generator import Event, Generator
from kdg.sender import GaveUp, Ledger, Sender, TokenBucket, batches, run
from kdg.template import EVENTS, Template
from local.engines.waiting import wait_until

ROOT = Path(__file__).parents[2]


class Stream:
    """A Firehose client that takes what ``refuse`` does not name; it may also raise."""

    def __init__(self, refuse: Callable[[int, list[bytes]], set[int]] = lambda _call, _records: set()) -> None:
        self.refuse, self.calls = refuse, 0
        self.taken: list[bytes] = []
        self.offered: Counter[bytes] = Counter()
        self.lock = threading.Lock()

    def put_record_batch(self, DeliveryStreamName: str, Records: list[dict[str, bytes]]) -> dict[str, Any]:  # noqa: N803
        with self.lock:
            self.calls += 1
            data = [record["Data"] for record in Records]
            self.offered.update(data)
            refused = self.refuse(self.calls, data)
            self.taken += [record for position, record in enumerate(data) if position not in refused]
        answers = [{"ErrorCode": "ServiceUnavailableException"} if i in refused else {"RecordId": "r"}
                   for i in range(len(data))]  # fmt: skip
        return {"FailedPutCount": len(refused), "RequestResponses": answers}


def events(count: int) -> list[Event]:
    return Generator(Template.read(EVENTS), seed=1, run_id=uuid.UUID(int=1)).take([1_790_000_000.0] * count)


def error(code: str, status: int = 400) -> ClientError:
    response: Any = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(response, "PutRecordBatch")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_DELAY", 0.0001)


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    return tmp_path / "ledgers" / "ids"


def sender_to(stream: Stream, ledger: Ledger, concurrency: int = 4) -> Sender:
    client: Any = stream
    return Sender(client, "s", ledger, concurrency)


def send(stream: Stream, path: Path, given: list[Event], concurrency: int = 4) -> module.Summary:
    with Ledger(path) as ledger, sender_to(stream, ledger, concurrency) as sender:
        sender.send(given)
    return sender.summary


class TestCalls:
    @given(st.lists(st.integers(0, 1_024_000) | st.integers(0, 300), max_size=30))
    def test_a_call_holds_500_records_and_4_mib_at_most(self, sizes: list[int]) -> None:
        made = [Event(str(i), b"x" * size) for i, size in enumerate(sizes)] * 60
        calls = list(batches(made))
        assert [event for call in calls for event in call] == made
        for call in calls:
            assert 1 <= len(call) <= 500
            assert sum(len(event.data) for event in call) <= 4 * 1024 * 1024

    def test_everything_is_sent_once_and_written_down(self, ledger: Path) -> None:
        stream, made = Stream(), events(1750)
        summary = send(stream, ledger, made)
        assert sorted(stream.taken) == sorted(event.data.rstrip(b"\n") for event in made)
        assert sorted(ledger.read_text().split()) == sorted(event.event_id for event in made)
        assert (summary.sent, summary.acknowledged, summary.failed_attempts, stream.calls) == (1750, 1750, 0, 4)


class TestPartialFailures:
    def test_only_failed_records_are_sent_again(self, ledger: Path) -> None:
        stream = Stream(
            lambda _, records: {i for i, record in enumerate(records) if stream.offered[record] < 3 and i % 5 == 0}
        )
        made = events(2000)
        summary = send(stream, ledger, made)
        assert sorted(stream.taken) == sorted(event.data.rstrip(b"\n") for event in made)
        resent = sum(stream.offered.values()) - len(made)
        assert resent == summary.failed_attempts > 400
        assert sorted(ledger.read_text().split()) == sorted(event.event_id for event in made)

    def test_a_call_that_fails_as_a_whole_is_repeated(self, ledger: Path) -> None:
        failures = [error("ServiceUnavailableException", 503), ConnectTimeoutError(endpoint_url="x"),
                    error("ThrottlingException"), error("InternalFailure", 500)]  # fmt: skip

        def refuse(call: int, records: list[bytes]) -> set[int]:
            if call <= len(failures):
                raise failures[call - 1]
            return set()

        summary = send(Stream(refuse), ledger, events(10), concurrency=1)
        assert (summary.acknowledged, summary.failed_attempts) == (10, 40)

    def test_a_reply_without_a_body_acknowledges_nothing(self, ledger: Path) -> None:
        class Cut(Stream):
            def put_record_batch(self, DeliveryStreamName: str, Records: list[dict[str, bytes]]) -> dict[str, Any]:  # noqa: N803
                reply = super().put_record_batch(DeliveryStreamName, Records)
                return reply if self.calls > 1 else {}

        summary = send(Cut(), ledger, events(10), concurrency=1)
        assert (summary.acknowledged, summary.failed_attempts) == (10, 10)

    @pytest.mark.parametrize("code", ["ResourceNotFoundException", "AccessDeniedException", "InvalidArgumentException"])
    def test_what_repeating_cannot_help_is_told_at_once(self, ledger: Path, code: str) -> None:
        def refuse(call: int, records: list[bytes]) -> set[int]:
            raise error(code)

        stream = Stream(refuse)
        with pytest.raises(ClientError, match=code):
            send(stream, ledger, events(10))
        assert stream.calls == 1
        assert ledger.read_text() == ""

    def test_it_gives_up_after_a_while(self, ledger: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "GIVE_UP_AFTER", 0.2)
        stream = Stream(lambda call, records: set(range(len(records))) - ({3} if call == 1 else set()))
        with pytest.raises(GaveUp, match="9 events"):
            send(stream, ledger, events(10))
        assert len(ledger.read_text().split()) == 1

    def test_an_error_stops_the_run(self, ledger: Path) -> None:
        def refuse(call: int, records: list[bytes]) -> set[int]:
            if call == 3:
                raise error("ResourceNotFoundException")
            return set()

        generator = Generator(Template.read(EVENTS), seed=1, run_id=uuid.UUID(int=1))
        with Ledger(ledger) as file, pytest.raises(ClientError):
            run(generator, sender_to(Stream(refuse), file), rate=0, seconds=30)


class TestRate:
    def test_the_rate_is_kept_and_a_stall_made_up_for_within_a_second(self) -> None:
        now, slept = 0.0, []

        def sleep(seconds: float) -> None:
            nonlocal now
            slept.append(seconds)
            now += seconds

        bucket = TokenBucket(1000, burst=1000, clock=lambda: now, sleep=sleep)
        at = []
        for _ in range(6):
            bucket.take(500)
            at.append(now)
        assert at == pytest.approx([0, 0.5, 1, 1.5, 2, 2.5])
        now += 10  # a stall: at most a second's worth at once
        at = []
        for _ in range(5):
            bucket.take(500)
            at.append(round(now - 12.5, 3))
        assert at == pytest.approx([0, 0, 0, 0.5, 1])

    def test_a_run_sends_rate_times_seconds(self, ledger: Path) -> None:
        stream = Stream()
        generator = Generator(Template.read(EVENTS), seed=1, run_id=uuid.UUID(int=1))
        seen: list[int] = []
        with Ledger(ledger) as file:
            start = time.monotonic()
            summary = run(generator, sender_to(stream, file), rate=2000, seconds=0.5,
                          progress=lambda summary: seen.append(summary.acknowledged))  # fmt: skip
            took = time.monotonic() - start
        assert (summary.sent, summary.acknowledged, len(stream.taken)) == (1000, 1000, 1000)
        assert 0.45 < took < 1
        assert seen[-1] == 1000

    def test_a_run_of_a_number_of_events(self, ledger: Path) -> None:
        stream = Stream()
        generator = Generator(Template.read(EVENTS), seed=1, run_id=uuid.UUID(int=1))
        with Ledger(ledger) as file:
            run(generator, sender_to(stream, file), rate=0, seconds=60, events=1234)
        assert len(stream.taken) == 1234


class _Endpoint(BaseHTTPRequestHandler):
    """Firehose as the command's client meets it: takes all, slowly."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        count = len(body["Records"])
        self.server.records += count  # type: ignore[attr-defined]
        reply = json.dumps({"FailedPutCount": 0, "RequestResponses": [{"RecordId": "r"}] * count}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(reply)))
        self.end_headers()
        self.wfile.write(reply)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def endpoint() -> Any:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Endpoint)
    server.records = 0  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


class TestCommand:
    def command(self, port: int, ledger: Path, *more: str) -> subprocess.Popen[str]:
        environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT / "include"),
            "AWS_ENDPOINT_URL_FIREHOSE": f"http://127.0.0.1:{port}",
            "AWS_ACCESS_KEY_ID": "x",
            "AWS_SECRET_ACCESS_KEY": "x",
            "AWS_DEFAULT_REGION": "us-east-1",
        }
        # What a shell starts in the background ignores SIGINT, and so does all that the tests start.
        command = ["env", "--default-signal=INT", sys.executable, "-m", "kdg", "--stream", "events"]
        command += ["--ledger", str(ledger), *more]
        return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)

    def test_it_sends_and_sums_up(self, endpoint: Any, ledger: Path) -> None:
        process = self.command(endpoint.server_port, ledger, "--rate", "0", "--events", "1500", "--seed", "7")
        _, told = process.communicate(timeout=60)
        assert process.returncode == 0, told
        assert "1,500 events sent, 1,500 acknowledged, 0 failed attempts" in told
        assert endpoint.records == len(set(ledger.read_text().split())) == 1500

    def test_ctrl_c_ends_it_with_a_summary_and_a_complete_ledger(self, endpoint: Any, ledger: Path) -> None:
        process = self.command(endpoint.server_port, ledger, "--rate", "200", "--seconds", "600")
        wait_until(lambda: endpoint.records >= 200, 30, "no 200 records were sent", 0.02)
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=30)
        assert process.returncode == 130, told
        written = len(ledger.read_text().split())
        assert written == endpoint.records >= 200
        assert f"{written:,} acknowledged" in told

    def test_an_endpoint_that_refuses_is_told_in_a_line(self, ledger: Path, capfd: pytest.CaptureFixture[str]) -> None:
        bad = ledger.parent / "template.json"
        bad.parent.mkdir(parents=True)
        bad.write_text('{"a": "{{name.fullName}}"}')
        assert main(["--stream", "s", "--ledger", str(ledger), "--template", str(bad)]) == 2
        assert f"kdg: {bad}, line 1, column 8: unknown helper 'name.fullName'" in capfd.readouterr().err

    @pytest.mark.parametrize(
        "wrong", ["--rate=-1", "--rate=nan", "--rate=inf", "--seconds=nan", "--seconds=0", "--events=0"]
    )
    def test_numbers_that_mean_nothing_are_refused(
        self, ledger: Path, wrong: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with pytest.raises(SystemExit):
            main(["--stream", "s", "--ledger", str(ledger), wrong])
        assert "--rate must be a number from 0 on, --seconds and --events must be above 0" in capsys.readouterr().err
