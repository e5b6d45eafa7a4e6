"""What a run prints: into CloudWatch Logs as on AWS, and into one file of the home."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from local.aws.glue_jobs.runs import Run

log = logging.getLogger("glue_jobs")

GROUPS = {"stdout": "/aws-glue/jobs/output", "stderr": "/aws-glue/jobs/error"}
BATCH_EVENTS = 5000
BATCH_BYTES = 900_000  # PutLogEvents takes 1 MiB, with 26 bytes an event on top
LINE_BYTES = 200_000

_TRACEBACK = "Traceback (most recent call last):"
# "package.module.SomeError: text", as Python ends a traceback
_EXCEPTION = re.compile(r"^(?:[A-Za-z_]\w*\.)*(?P<said>[A-Za-z_]\w*(?::.*)?)$")


class Shipper:
    """Follows a run's two output files. ``client`` gives a CloudWatch Logs client under the job's role."""

    def __init__(self, run: Run, work: Path, combined: Path, client: Callable[[], Any]) -> None:
        self._run, self._work, self._combined, self._client = run, work, combined, client
        self._logs: Any = None

    def ship(self, final: bool = False) -> bool:
        """Pass on what was printed since the last call (whole lines, unless ``final``); whether there was anything."""
        moved = False
        for name, group in GROUPS.items():
            path = self._work / name
            if not path.exists():
                continue
            with path.open("rb") as file:
                file.seek(self._run.shipped.get(name, 0))
                text = file.read()
            if not final:
                text = text[: text.rfind(b"\n") + 1]
            if text:
                self._pass_on(group, text)
                self._run.shipped[name] = self._run.shipped.get(name, 0) + len(text)
                moved = True
        return moved

    def _pass_on(self, group: str, text: bytes) -> None:
        self._combined.parent.mkdir(parents=True, exist_ok=True)
        with self._combined.open("ab") as file:
            file.write(text)
        try:
            if self._logs is None:
                self._logs = self._client()
            self._make_stream(group)
            batch: list[dict[str, Any]] = []
            size = 0
            for line in text.decode("utf-8", "replace").splitlines():
                message = line[:LINE_BYTES] or " "  # CloudWatch takes no empty message
                size += len(message.encode()) + 26
                if batch and (len(batch) == BATCH_EVENTS or size > BATCH_BYTES):
                    self._put(group, batch)
                    batch, size = [], len(message.encode()) + 26
                batch.append({"timestamp": int(time.time() * 1000), "message": message})
            self._put(group, batch)
        except (ClientError, BotoCoreError) as error:  # as on AWS, a run does not fail for want of its log
            log.warning("%s: its output is not in CloudWatch: %s", self._run.id, error)

    def _put(self, group: str, batch: list[dict[str, Any]]) -> None:
        self._logs.put_log_events(logGroupName=group, logStreamName=self._run.id, logEvents=batch)

    def _make_stream(self, group: str) -> None:
        if self._run.shipped.get(f"{group} made"):
            return
        for make in (
            lambda: self._logs.create_log_group(logGroupName=group),
            lambda: self._logs.create_log_stream(logGroupName=group, logStreamName=self._run.id),
        ):
            try:
                make()
            except self._logs.exceptions.ResourceAlreadyExistsException:
                continue
        self._run.shipped[f"{group} made"] = 1


def last_error(printed: str) -> str:
    """What Glue shows of a failed run: the last exception that Python reported, without its module; or nothing."""
    _, found, traceback = printed.rpartition(_TRACEBACK)
    if not found:
        return ""
    for line in traceback.splitlines()[1:]:
        if line and not line[0].isspace() and (said := _EXCEPTION.match(line)):
            return said["said"]
    return ""
