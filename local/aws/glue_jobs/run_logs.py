"""Sends the output of a run to CloudWatch Logs, as on AWS, and to one file of the home."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from local.aws.glue_jobs.job_runs import JobRun
from local.aws.glue_service import create_log_stream

if TYPE_CHECKING:
    from mypy_boto3_logs import CloudWatchLogsClient
    from mypy_boto3_logs.type_defs import InputLogEventTypeDef

log = logging.getLogger("glue_jobs")

GROUPS = {"stdout": "/aws-glue/jobs/output", "stderr": "/aws-glue/jobs/error"}
BATCH_EVENTS = 5000
BATCH_BYTES = 900_000  # PutLogEvents accepts 1 MiB, including 26 bytes for each event
LINE_BYTES = 200_000

_TRACEBACK = "Traceback (most recent call last):"
# "package.module.SomeError: text", as Python ends a traceback
_EXCEPTION = re.compile(r"^(?:[A-Za-z_]\w*\.)*(?P<exception>[A-Za-z_]\w*(?::.*)?)$")


class LogShipper:
    """Follows the two output files of a run. ``client`` returns a CloudWatch Logs client under the job's role."""

    def __init__(self, run: JobRun, work: Path, combined: Path, client: Callable[[], CloudWatchLogsClient]) -> None:
        self._run, self._work, self._combined, self._client = run, work, combined, client

    @cached_property
    def _logs(self) -> CloudWatchLogsClient:
        return self._client()

    def ship(self, final: bool = False) -> bool:
        """Send the output since the last call (whole lines only, unless ``final``); returns whether there was any."""
        sent = False
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
                self._send(group, text)
                self._run.shipped[name] = self._run.shipped.get(name, 0) + len(text)
                sent = True
        return sent

    def _send(self, group: str, text: bytes) -> None:
        self._combined.parent.mkdir(parents=True, exist_ok=True)
        with self._combined.open("ab") as file:
            file.write(text)
        try:
            if not self._run.shipped.get(f"{group} made"):
                create_log_stream(self._logs, group, self._run.id)
                self._run.shipped[f"{group} made"] = 1
            batch: list[InputLogEventTypeDef] = []
            size = 0
            for line in text.decode("utf-8", "replace").splitlines():
                message = line[:LINE_BYTES] or " "  # CloudWatch accepts no empty message
                size += len(message.encode()) + 26
                if batch and (len(batch) == BATCH_EVENTS or size > BATCH_BYTES):
                    self._put(group, batch)
                    batch, size = [], len(message.encode()) + 26
                batch.append({"timestamp": int(time.time() * 1000), "message": message})
            self._put(group, batch)
        except (ClientError, BotoCoreError) as error:  # as on AWS, a run succeeds without its log
            log.warning("%s: the output could not be written to CloudWatch: %s", self._run.id, error)

    def _put(self, group: str, batch: list[InputLogEventTypeDef]) -> None:
        self._logs.put_log_events(logGroupName=group, logStreamName=self._run.id, logEvents=batch)


def last_error(printed: str) -> str:
    """The ErrorMessage of a failed run: the last exception that Python printed, without its module; empty if none."""
    _, marker, traceback = printed.rpartition(_TRACEBACK)
    if not marker:
        return ""
    for line in traceback.splitlines()[1:]:
        if line and not line[0].isspace() and (found := _EXCEPTION.match(line)):
            return found["exception"]
    return ""
