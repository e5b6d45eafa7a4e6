"""The delivery streams of one home: their definitions, kept on disk, and the running ``Stream`` of each."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, cast

from botocore.config import Config

from local.aws.firehose.destination import Destination
from local.aws.firehose.stream import Stream
from local.aws.protocol import Services
from local.engines.files import write_atomically

_ONE_ATTEMPT = Config(connect_timeout=5, read_timeout=60, retries={"total_max_attempts": 1})


class StreamStore:
    """Definitions and running streams by name. ``Firehose`` holds its lock around every change."""

    def __init__(self, services: Services, clock: Callable[[], float]) -> None:
        self._services, self._clock = services, clock
        self._folder: Path = services.settings.data / "firehose"
        self.definitions: dict[str, dict[str, Any]] = {}
        self.running: dict[str, Stream] = {}
        self.client = cache(self._client)

    def start(self) -> None:
        """Load the definitions and buffers and deliver in the background; what an earlier process left goes first."""
        state = self._folder / "streams.json"
        self.definitions = json.loads(state.read_text()) if state.exists() else {}
        kept = {self._buffer(name) for name in self.definitions}
        for folder in self._folder.glob("*.buffer"):
            if folder not in kept:  # a kill interrupted the deletion of its stream
                shutil.rmtree(folder)
        for name in self.definitions:
            self._run(name)

    def stop(self) -> None:
        """Stop delivering; buffered records stay on disk."""
        for stream in list(self.running.values()):
            stream.stop()

    def add(self, name: str, definition: dict[str, Any]) -> None:
        """Store a new stream and run it."""
        self.definitions[name] = definition
        self.save()
        self._run(name)

    def delete(self, name: str) -> None:
        """Deliver what a stream has buffered, if S3 takes it now, and remove the stream."""
        self.running.pop(name).delete()
        del self.definitions[name]
        self.save()

    def save(self) -> None:
        """Write the definitions to disk."""
        write_atomically(self._folder / "streams.json", json.dumps(self.definitions, indent=1))

    def _buffer(self, name: str) -> Path:
        return self._folder / f"{name}.buffer"

    def _run(self, name: str) -> None:
        definition = self.definitions[name]
        destination = Destination.parse(definition["configuration"])
        version = definition["version"]
        stream = Stream(name, self._buffer(name), destination, version, put=self._put_object, clock=self._clock)
        self.running[name] = stream
        stream.start()

    def _put_object(self, destination: Destination, bucket: str, key: str, body: bytes) -> None:
        """Try once to write an object, under the stream's role."""
        kms = destination.kms_key
        encryption = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": kms} if kms else {}
        self.client("s3", destination.role_arn).put_object(Bucket=bucket, Key=key, Body=body, **encryption)

    def _client(self, service: str, role: str) -> Any:
        """A client under a stream's role; it makes one attempt at each call."""
        return cast("Any", self._services.session(role, "firehose")).client(service, config=_ONE_ATTEMPT)
