"""The buffers and deliveries of one stream: records go into a buffer on disk; full or old buffers become S3 objects."""

from __future__ import annotations

import gzip
import json
import logging
import random
import shutil
import threading
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from botocore.exceptions import ClientError

from local.aws.firehose.destination import Destination
from local.aws.firehose.monitoring import StreamMetrics
from local.aws.firehose.segment import SUFFIX, Segment
from local.engines.files import write_atomically

log = logging.getLogger(__name__)

RETRY_SECONDS = 24 * 3600.0  # then "your data is lost" (Firehose guide, "Handle data delivery failures")
FIRST_DELAY, LONGEST_DELAY = 1.0, 60.0  # seconds between attempts, doubling

# put(destination, bucket, key, body): one attempt to write an object under the destination's role
Put = Callable[[Destination, str, str, bytes], None]


@dataclass
class _Delivery:
    """A closed segment on its way to S3."""

    segment: Segment
    failures: int = 0
    first_failure: float = 0.0
    due: float = 0.0  # time of the next attempt


class Stream:
    """Buffers and delivers the records of one stream. ``tick`` does what is due; ``start`` calls it from a thread.

    The segment fixes an object's key and bytes before the first attempt, so an attempt that is repeated after a kill
    writes the same object again. The 24 hours of retries count from the first failure in this process.
    """

    def __init__(
        self, name: str, folder: Path, destination: Destination, version: int, *, put: Put, clock: Callable[[], float]
    ) -> None:
        self.name, self.destination, self.version = name, destination, version
        self._folder, self._put, self._clock = folder, put, clock
        self.metrics = StreamMetrics(clock)
        self._lock = threading.Lock()  # guards the open segment and the list of closed segments
        self._delivery_lock = threading.Lock()  # one tick at a time
        self._wake = threading.Event()
        self._stopping = False
        self._thread: threading.Thread | None = None
        folder.mkdir(parents=True, exist_ok=True)
        self._open: Segment | None = None
        found = (Segment.recover(path) for path in sorted(folder.glob(f"*{SUFFIX}")))
        self._closed = [_Delivery(segment) for segment in found if segment]
        for delivery in [one for one in self._closed if one.segment.header["key"] in self._given_up()]:
            self._forget(delivery)  # a kill came between counting the loss and removing the segment

    def put(self, records: list[bytes]) -> None:
        """Store records; returns once all are on disk. After an OSError some of them may be stored nevertheless."""
        written: list[tuple[Segment, int]] = []
        with self._lock:
            for payload, count in self._portions(records):
                segment = self._open or self._new_segment()
                written.append((segment, segment.append(payload, count)))
                if segment.size >= self.destination.size:
                    self._close_open()
        for segment, position in written:
            segment.sync(position)
        self.metrics.count_incoming(len(records), sum(map(len, records)))

    def _portions(self, records: list[bytes]) -> Iterator[tuple[bytes, int]]:
        """Split a call's records where a buffer becomes full, which is with the record that reaches its size."""
        delimiter = self.destination.delimiter
        payload = delimiter.join([*records, b""]) if delimiter else b"".join(records)
        room = self.destination.size - (self._open.size if self._open else 0)
        if len(payload) <= room:
            yield payload, len(records)
            return
        portion: list[bytes] = []
        size = 0
        for record in records:
            portion.append(record + delimiter)
            size += len(record) + len(delimiter)
            if size >= room:
                yield b"".join(portion), len(portion)
                portion, size, room = [], 0, self.destination.size
        if portion:
            yield b"".join(portion), len(portion)

    def _new_segment(self) -> Segment:
        arrival = self._clock()
        moment = datetime.fromtimestamp(arrival, UTC).astimezone(self.destination.zone)
        identity = uuid.uuid4()
        name = f"{self.name}-{self.version}-{moment:%Y-%m-%d-%H-%M-%S}-{identity}{self.destination.extension}"
        header = {
            "bucket": self.destination.bucket,
            "key": self.destination.prefix.evaluate(moment) + name,
            "gzip": self.destination.gzip,
            "arrival": arrival,
        }
        path = self._folder / f"{int(arrival * 1000):015d}-{identity}{SUFFIX}"
        self._open = Segment.create(path, header)
        self._wake.set()  # there is a new deadline
        return self._open

    def _close_open(self) -> None:
        """Hand the open segment over to delivery; the caller holds the lock."""
        if self._open:
            self._closed.append(_Delivery(self._open))
            self._open = None
            self._wake.set()

    def reconfigure(self, destination: Destination, version: int) -> None:
        """Use a new configuration for records from now on; buffered records keep their bucket and key."""
        with self._lock:
            self._close_open()
            self.destination, self.version = destination, version

    def tick(self) -> float | None:
        """Close an old buffer and deliver closed ones; returns when to call again, None if there is nothing to do."""
        with self._delivery_lock:
            now = self._clock()
            with self._lock:
                if self._open and now >= self._deadline(self._open):
                    self._close_open()
                due = [delivery for delivery in self._closed if delivery.due <= now]
            for delivery in due:
                if self._stopping:
                    break
                self._deliver(delivery)
            with self._lock:
                times = [delivery.due for delivery in self._closed]
                if self._open:
                    times.append(self._deadline(self._open))
        return min(times, default=None)

    def _deadline(self, segment: Segment) -> float:
        return float(segment.header["arrival"]) + self.destination.interval

    def _deliver(self, delivery: _Delivery) -> None:
        segment = delivery.segment
        bucket, key = segment.header["bucket"], segment.header["key"]
        try:
            segment.close()
            body = segment.body()
            body = gzip.compress(body, mtime=0) if segment.header["gzip"] else body
            self._put(self.destination, bucket, key, body)
        except Exception as error:  # noqa: BLE001 - after any error the records stay and are tried again
            self._failed(delivery, f"s3://{bucket}/{key}", error)
            return
        log.info("%s: %d records, %d bytes to s3://%s/%s", self.name, segment.records, segment.size, bucket, key)
        self.metrics.count_delivery(segment.records, segment.size, self._clock() - float(segment.header["arrival"]))
        self._forget(delivery)

    def _failed(self, delivery: _Delivery, where: str, error: Exception) -> None:
        segment, now = delivery.segment, self._clock()
        delivery.failures += 1
        if delivery.failures == 1:
            delivery.first_failure = now
        self.metrics.count_failure()
        code = f"S3.{error.response['Error']['Code']}" if isinstance(error, ClientError) else "S3.ServiceException"
        if now - delivery.first_failure >= RETRY_SECONDS:
            message = (
                f"LOST {segment.records} records, {segment.size} bytes: {where} failed for 24 hours, "
                f"{delivery.failures} attempts: {error}"
            )
            log.critical("%s: %s", self.name, message)
            self._count_lost(segment)
            self._forget(delivery)
            self.metrics.add_event(code, message)
            return
        if delivery.failures == 1:
            message = f"{segment.records} records wait, {where} is tried again for 24 hours: {error}"
            self.metrics.add_event(code, message)
        delay = min(LONGEST_DELAY, FIRST_DELAY * 2 ** min(delivery.failures - 1, 10))
        delivery.due = now + delay * random.uniform(0.5, 1)  # noqa: S311
        log.warning("%s: attempt %d to write %s failed: %s", self.name, delivery.failures, where, error)

    def _forget(self, delivery: _Delivery) -> None:
        with self._lock:
            self._closed.remove(delivery)
        delivery.segment.discard()

    def pending(self) -> int:
        """The number of records that are stored and not yet delivered."""
        with self._lock:
            open_records = self._open.records if self._open else 0
            return open_records + sum(delivery.segment.records for delivery in self._closed)

    def oldest_age(self) -> float:
        """Seconds since the oldest undelivered record arrived; 0 when there is none."""
        with self._lock:
            held = [delivery.segment for delivery in self._closed] + ([self._open] if self._open else [])
        oldest = min((float(segment.header["arrival"]) for segment in held), default=None)
        return 0.0 if oldest is None else max(0.0, self._clock() - oldest)

    def lost(self) -> dict[str, int]:
        """The objects, records and bytes that were given up since the stream was created."""
        given_up = self._given_up().values()
        return {"objects": len(given_up), **{what: sum(one[what] for one in given_up) for what in ("records", "bytes")}}

    def _given_up(self) -> dict[str, dict[str, int]]:
        """Records and bytes of each object that was given up, by its key; kept in ``lost.json``."""
        path = self._folder / "lost.json"
        found: dict[str, dict[str, int]] = json.loads(path.read_text()) if path.exists() else {}
        return found

    def _count_lost(self, segment: Segment) -> None:
        lost = self._given_up() | {segment.header["key"]: {"records": segment.records, "bytes": segment.size}}
        write_atomically(self._folder / "lost.json", json.dumps(lost, indent=1))

    def start(self) -> None:
        """Deliver in the background."""
        self._thread = threading.Thread(target=self._run, name=f"firehose-{self.name}", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stopping:
            self._wake.clear()
            try:
                due = self.tick()
            except Exception:
                log.exception("%s: an error in the delivery thread, which goes on", self.name)
                due = self._clock() + FIRST_DELAY
            self._wake.wait(None if due is None else max(0.0, due - self._clock()))

    def stop(self) -> None:
        """Stop delivering; buffered records stay on disk for the next start."""
        self._stopping = True
        self._wake.set()
        if self._thread:
            self._thread.join()
        with self._lock:
            if self._open:
                self._open.close()

    def delete(self) -> None:
        """Try once to deliver, then remove everything: AWS promises nothing for the records of a deleted stream."""
        with self._lock:
            self._close_open()
            for delivery in self._closed:
                delivery.due = 0.0
        self.tick()
        self.stop()
        if left := self.pending():
            log.error("%s: deleted with %d undelivered records", self.name, left)
        shutil.rmtree(self._folder)
