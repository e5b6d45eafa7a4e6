"""Sends events to a delivery stream until each is acknowledged, and records the acknowledged ones in a ledger.

Rules of PutRecordBatch (Firehose API reference): a call takes at most 500 records and 4 MiB. A successful reply may
still report failed records, in the order of the request; only these are sent again. A call that timed out may have
succeeded, so a record may arrive twice, which its event_id shows.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from botocore.exceptions import ClientError, ConnectionError, CredentialRetrievalError, HTTPClientError  # noqa: A004

from kdg.generator import Event, Generator

if TYPE_CHECKING:
    from mypy_boto3_firehose import FirehoseClient
    from mypy_boto3_firehose.type_defs import RecordTypeDef

MAX_RECORDS = 500
MAX_BYTES = 4 * 1024 * 1024
FIRST_DELAY, LONGEST_DELAY = 0.1, 10.0  # seconds between attempts, doubling, with full jitter
GIVE_UP_AFTER = 300.0  # seconds without any acknowledgement for a batch
_WORTH_REPEATING = {
    "InternalFailure", "InternalServerError", "ServiceUnavailableException", "ServiceUnavailable", "Throttling",
    "ThrottlingException", "RequestTimeout", "LimitExceededException",
}  # fmt: skip
_NO_ANSWER = (ConnectionError, HTTPClientError, CredentialRetrievalError)


class Ledger:
    """An append-only file of acknowledged event ids, one a line; ids are written before they are counted."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("ab", buffering=0)
        self._lock = threading.Lock()

    def write(self, event_ids: Sequence[str]) -> None:
        """Append ids; returns when the operating system has them."""
        if event_ids:
            with self._lock:
                self._file.write(("\n".join(event_ids) + "\n").encode())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


@dataclass
class Summary:
    """The result of a run. ``failed_attempts`` counts a record each time it is refused."""

    sent: int = 0
    acknowledged: int = 0
    failed_attempts: int = 0
    seconds: float = 0.0

    @property
    def rate(self) -> float:
        """Acknowledged events a second."""
        return self.acknowledged / self.seconds if self.seconds else 0.0


class GaveUp(Exception):
    """Some events were not acknowledged; they are not in the ledger."""


def batches(events: Sequence[Event]) -> Iterator[Sequence[Event]]:
    """Divide events, in order, into calls of at most 500 records and 4 MiB."""
    start = size = 0
    for i, event in enumerate(events):
        if i - start == MAX_RECORDS or (size + len(event.data) > MAX_BYTES and i > start):
            yield events[start:i]
            start, size = i, 0
        size += len(event.data)
    if start < len(events):
        yield events[start:]


class Sender:
    """Sends batches on ``concurrency`` threads. ``client`` should not retry by itself."""

    def __init__(self, client: FirehoseClient, stream: str, ledger: Ledger, concurrency: int = 4) -> None:
        self._client, self._stream, self._ledger = client, stream, ledger
        self._pool = ThreadPoolExecutor(concurrency, thread_name_prefix="put")
        self._slots = threading.BoundedSemaphore(2 * concurrency)  # for batches that are not acknowledged yet
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._error: BaseException | None = None
        self._jitter = random.Random()  # noqa: S311
        self.summary = Summary()

    def send(self, events: Sequence[Event]) -> None:
        """Take events for sending; blocks while too many are in flight, and raises the error of a batch that failed."""
        for batch in batches(events):
            self._slots.acquire()
            if self._error:
                self._slots.release()
                raise self._error
            with self._lock:
                self.summary.sent += len(batch)
            self._pool.submit(self._put, batch).add_done_callback(self._done)

    def _done(self, future: Future[None]) -> None:
        self._slots.release()
        if error := future.exception():
            self._error = self._error or error

    def _put(self, events: Sequence[Event]) -> None:
        """Send until all are acknowledged; raises GaveUp, or at once an error that repeating would not mend."""
        last_progress, attempt = time.monotonic(), 0
        while True:
            refused = self._attempt(events)
            if len(refused) < len(events):
                last_progress, attempt = time.monotonic(), 0
            if not refused:
                return
            events, attempt = refused, attempt + 1
            delay = self._jitter.uniform(0, min(LONGEST_DELAY, FIRST_DELAY * 2**attempt))
            too_long = time.monotonic() + delay - last_progress > GIVE_UP_AFTER
            if too_long or self._stop.wait(delay):
                raise GaveUp(f"{len(events)} events of a batch were not acknowledged")

    def _attempt(self, events: Sequence[Event]) -> Sequence[Event]:
        """One call; returns the events to send again."""
        # The stream ends each record with a newline. One more would be a blank line, and a row of landing.streaming.
        records: list[RecordTypeDef] = [{"Data": event.data.removesuffix(b"\n")} for event in events]
        try:
            reply: Mapping[str, Any] = self._client.put_record_batch(DeliveryStreamName=self._stream, Records=records)
        except _NO_ANSWER:
            refused: Sequence[Event] = events
        except ClientError as error:
            status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 400)
            if error.response["Error"]["Code"] not in _WORTH_REPEATING and status < 500:
                raise
            refused = events
        else:
            if "FailedPutCount" not in reply:  # a reply without a body, whose sender was killed
                refused, taken = events, []
            elif not reply["FailedPutCount"]:
                refused, taken = (), list(events)
            else:
                outcomes = list(zip(events, reply["RequestResponses"], strict=True))
                refused = [event for event, outcome in outcomes if "ErrorCode" in outcome]
                taken = [event for event, outcome in outcomes if "ErrorCode" not in outcome]
            self._ledger.write([event.event_id for event in taken])
        with self._lock:
            self.summary.acknowledged += len(events) - len(refused)
            self.summary.failed_attempts += len(refused)
        return refused

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _error: BaseException | None, _tb: TracebackType | None
    ) -> None:
        """Wait for what is in flight; after an error or Ctrl-C nothing is sent again."""
        if kind:
            self._stop.set()
        self._pool.shutdown(wait=True)
        if self._error and not kind:
            raise self._error


class TokenBucket:
    """Admits ``rate`` events a second, and after a pause at most ``burst`` at once. A rate of 0 means no limit."""

    def __init__(
        self,
        rate: float,
        burst: float,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._rate, self._burst, self._clock, self._sleep = rate, burst, clock, sleep
        self._tokens, self._at = 0.0, clock()

    def take(self, count: int) -> None:
        """Admit ``count`` events as soon as the tokens for all earlier ones have accrued."""
        if not self._rate:
            return
        while True:
            now = self._clock()
            self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate)
            self._at = now
            if self._tokens >= -1e-6:
                self._tokens -= count
                return
            self._sleep(-self._tokens / self._rate)


def run(
    generator: Generator,
    sender: Sender,
    *,
    rate: float,
    seconds: float,
    events: int | None = None,
    progress: Callable[[Summary], None] = lambda _: None,
    clock: Callable[[], float] = time.time,
) -> Summary:
    """Send ``rate`` events a second (0: as many as the stream takes), with the time of sending as timestamp.

    It ends after ``events`` (default: rate x seconds), or after ``seconds`` if the stream does not take that many. On
    Ctrl-C it waits for what is in flight and raises KeyboardInterrupt; ``sender.summary`` says how many were sent.
    """
    total = events if events is not None else round(rate * seconds) if rate else None
    batch = min(MAX_RECORDS, max(1, round(rate))) if rate else MAX_RECORDS  # one call a second, or full calls
    bucket = TokenBucket(rate, burst=rate)
    start, made = time.monotonic(), 0
    try:
        with sender:
            while (total is None or made < total) and time.monotonic() - start < seconds:
                count = min(batch, total - made) if total is not None else batch
                bucket.take(count)
                sender.send(generator.take([clock()] * count))
                made += count
                sender.summary.seconds = time.monotonic() - start
                progress(sender.summary)
            bucket.take(0)  # the last second counts too
    finally:
        sender.summary.seconds = time.monotonic() - start
        progress(sender.summary)
    return sender.summary
