"""The buffer of one future S3 object: an append-only file of framed record batches that survives a kill at any moment.

Frame: length, number of records, CRC-32 (three big-endian unsigned 32-bit numbers), then the bytes. The first frame is
a JSON header that says where the object goes. An incomplete last frame was never acknowledged; reading drops it.
"""

from __future__ import annotations

import json
import os
import struct
import threading
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from local.engines.files import sync_folder

_FRAME = struct.Struct(">III")
SUFFIX = ".segment"


def _frames(data: bytes) -> Iterator[tuple[bytes, int]]:
    """(bytes, number of records) of every complete frame in order; ends at the first incomplete one."""
    position = 0
    while position + _FRAME.size <= len(data):
        length, records, crc = _FRAME.unpack_from(data, position)
        position += _FRAME.size
        payload = data[position : position + length]
        if len(payload) < length or zlib.crc32(payload) != crc:
            return
        position += length
        yield payload, records


class Segment:
    """A buffer of one stream. ``append`` is called under the stream's lock, ``sync`` and ``close`` from any thread."""

    def __init__(self, path: Path, header: dict[str, Any], size: int, records: int, descriptor: int | None) -> None:
        self.path, self.header, self.size, self.records = path, header, size, records
        self._descriptor = descriptor
        self._length = 0  # bytes of the file up to the last complete frame
        self._synced = 0
        self._sync_lock = threading.Lock()

    @classmethod
    def create(cls, path: Path, header: dict[str, Any]) -> Segment:
        """A new, empty segment; raises OSError."""
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC, 0o600)
        segment = cls(path, header, size=0, records=0, descriptor=descriptor)
        try:
            segment._write(json.dumps(header).encode(), 0)
            sync_folder(path.parent)
        except OSError:
            segment.discard()
            raise
        return segment

    @classmethod
    def recover(cls, path: Path) -> Segment | None:
        """A closed segment from an earlier process; returns None and removes the file when it holds no record."""
        frames = list(_frames(path.read_bytes()))
        records = sum(count for _, count in frames)
        if not records:
            path.unlink()
            return None
        size = sum(len(payload) for payload, _ in frames[1:])
        return cls(path, json.loads(frames[0][0]), size, records, descriptor=None)

    def append(self, payload: bytes, records: int) -> int:
        """Write a batch and return the position to ``sync`` to. After an OSError the file is unchanged."""
        position = self._write(payload, records)
        self.size += len(payload)
        self.records += records
        return position

    def _write(self, payload: bytes, records: int) -> int:
        if self._descriptor is None:
            raise ValueError(f"{self.path} is closed and accepts no more records")
        rest = memoryview(_FRAME.pack(len(payload), records, zlib.crc32(payload)) + payload)
        whole = len(rest)
        try:
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
        except OSError:
            os.ftruncate(self._descriptor, self._length)
            raise
        self._length += whole
        return self._length

    def sync(self, position: int) -> None:
        """Return once the file is durable up to ``position``; one fsync serves all threads that wait at the time."""
        with self._sync_lock:
            if self._synced >= position or self._descriptor is None:
                return
            written = self._length
            os.fdatasync(self._descriptor)
            self._synced = written

    def close(self) -> None:
        """Make the whole file durable and accept no more records; may be called again."""
        with self._sync_lock:
            if self._descriptor is None:
                return
            os.fdatasync(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = None

    def body(self) -> bytes:
        """The records, as the S3 object will contain them."""
        return b"".join([payload for payload, records in _frames(self.path.read_bytes()) if records])

    def discard(self) -> None:
        """Remove the file, because its records were delivered or given up."""
        with self._sync_lock:
            if self._descriptor is not None:
                os.close(self._descriptor)
                self._descriptor = None
        self.path.unlink(missing_ok=True)
