"""The last lines of a Glue job run's log, for the log of the task that started it and for the page of the run.

The provider's operator can print the whole log (``verbose``); with Spark's lines that is megabytes for a long run. In a
task's log at most ``LINES`` lines of ``WIDTH`` characters are shown of each log group.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from airflow.providers.amazon.aws.hooks.glue import get_glue_log_group_names
from botocore.exceptions import BotoCoreError, ClientError

if TYPE_CHECKING:
    from mypy_boto3_logs import CloudWatchLogsClient

LINES = 60
WIDTH = 1000
PAGES = 10  # GetLogEvents may give empty pages before the end


def last_lines(logs: CloudWatchLogsClient, run: Mapping[str, Any]) -> Iterator[str]:
    """What the job printed last and, unless the run succeeded, the last lines of the error log, too.

    ``run`` is the JobRun that GetJobRun returns. A log that cannot be read gives a line that says why, and no error.
    """
    output, error = groups(run)
    for group in (output,) if run["JobRunState"] == "SUCCEEDED" else (error, output):
        try:
            lines = tail(logs, group, run["Id"], LINES)
        except (ClientError, BotoCoreError) as reason:
            yield f"The log {group} of run {run['Id']} cannot be read: {reason}"
        else:
            yield f"The last {len(lines)} lines of {group}, stream {run['Id']}:"
            yield from (line if len(line) <= WIDTH else line[:WIDTH] + " ..." for line in lines)


def groups(run: Mapping[str, Any]) -> tuple[str, str]:
    """The log groups of a JobRun: of what the job printed, and of errors.

    In both the driver's stream has the run's id as its name (AWS Glue Developer Guide, "Logging for AWS Glue jobs").
    """
    return get_glue_log_group_names({**run, "LogGroupName": run["LogGroupName"].rstrip("/")})


def tail(logs: CloudWatchLogsClient, group: str, stream: str, count: int) -> list[str]:
    """The last ``count`` lines of a stream; raises ClientError or BotoCoreError when it cannot be read."""
    lines: list[str] = []
    position: dict[str, Any] = {}
    for _ in range(PAGES):
        page = logs.get_log_events(logGroupName=group, logStreamName=stream, limit=count, **position)
        lines = [line for event in page["events"] for line in event["message"].splitlines()] + lines
        if len(lines) >= count or page["nextBackwardToken"] == position.get("nextToken"):
            break
        position = {"nextToken": page["nextBackwardToken"]}
    return lines[-count:]
