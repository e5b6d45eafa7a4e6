"""What services create by themselves and deleting the stack leaves behind: log groups, log streams, snapshots, secrets.

Log groups of DMS, RDS and MWAA have names of this deployment. Glue's are shared by the whole account
(``/aws-glue/jobs/...``, ``/aws-glue/crawlers``): only the streams of our jobs' runs and of our crawler are deleted.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from datalake.names import Lake
from infrastructure.stack import Clients, Progress

if TYPE_CHECKING:
    from mypy_boto3_cloudformation.type_defs import StackResourceSummaryTypeDef
    from mypy_boto3_glue import GlueClient
    from mypy_boto3_logs import CloudWatchLogsClient
    from mypy_boto3_rds import RDSClient
    from mypy_boto3_secretsmanager import SecretsManagerClient

# The log groups that services write to, and create if need be, for a resource {name} of a type.
LOG_GROUPS = {
    "AWS::Lambda::Function": ["/aws/lambda/{name}"],
    "AWS::KinesisFirehose::DeliveryStream": ["/aws/kinesisfirehose/{name}"],
    "AWS::MWAA::Environment": [
        f"airflow-{{name}}-{part}" for part in ("DAGProcessing", "Scheduler", "Task", "WebServer", "Worker")
    ],
}
GLUE_JOBS, GLUE_CRAWLERS = "/aws-glue/jobs/", "/aws-glue/crawlers"


class Leftovers:
    """What one deployment leaves behind. Call ``remember`` before its stack is deleted and ``remove`` afterwards."""

    def __init__(self, lake: Lake, clients: Clients, progress: Progress) -> None:
        self._lake, self._clients, self._progress = lake, clients, progress
        self._streams: list[tuple[str, str]] = []  # (prefix of log groups, prefix of their streams)
        self._secrets: list[str] = []
        # those whose names do not depend on the stack's resources; a name that ends with a slash is a prefix
        self._groups = [f"dms-tasks-{lake.dms_instance}", f"/aws/rds/instance/{lake.mysql_instance}/"]

    def remember(self, listed: Sequence[StackResourceSummaryTypeDef]) -> None:
        """Note the names that cannot be found any more once the stack is deleted."""
        glue: GlueClient = self._clients("glue")
        for one in listed:
            name = one.get("PhysicalResourceId", "")
            if one["ResourceType"] == "AWS::Glue::Job":
                pages = glue.get_paginator("get_job_runs").paginate(JobName=name)
                try:
                    runs = [run["Id"] for page in pages for run in page["JobRuns"]]
                except glue.exceptions.EntityNotFoundException:
                    runs = []
                self._streams += [(GLUE_JOBS, run) for run in runs]
            elif one["ResourceType"] == "AWS::Glue::Crawler":
                self._streams.append((GLUE_CRAWLERS, name))
            elif one["ResourceType"] == "AWS::SecretsManager::Secret":
                self._secrets.append(name)
            elif one["ResourceType"] in LOG_GROUPS:
                self._groups += [text.format(name=name) for text in LOG_GROUPS[one["ResourceType"]]]

    def remove(self) -> None:
        """Delete everything except snapshots."""
        logs: CloudWatchLogsClient = self._clients("logs")
        for group in self._log_groups(logs):
            logs.delete_log_group(logGroupName=group)
            self._progress(f"log group {group} deleted")
        removed = sum(self._remove_streams(logs, group, stream) for group, stream in self._streams)
        if removed:
            self._progress(f"{removed} log streams of Glue deleted")
        manager: SecretsManagerClient = self._clients("secretsmanager")
        for secret in self._secrets:
            with suppress(manager.exceptions.ResourceNotFoundException):
                # without the recovery window, during which its name could not be used again
                manager.delete_secret(SecretId=secret, ForceDeleteWithoutRecovery=True)

    def snapshots(self) -> Iterator[str]:
        """The database's snapshots, which are billed and may be all that is left of the data."""
        rds: RDSClient = self._clients("rds")
        for page in rds.get_paginator("describe_db_snapshots").paginate(SnapshotType="manual"):
            for one in page["DBSnapshots"]:
                if one["DBInstanceIdentifier"] == self._lake.mysql_instance:
                    yield f"{one['DBSnapshotIdentifier']}, {one['AllocatedStorage']} GiB allocated"

    def _log_groups(self, logs: CloudWatchLogsClient) -> list[str]:
        """Log groups of this deployment, and none of another one whose name begins alike."""
        pages = logs.get_paginator("describe_log_groups")
        found = [
            group["logGroupName"]
            for name in self._groups
            for page in pages.paginate(logGroupNamePrefix=name)
            for group in page["logGroups"]
            if group["logGroupName"] == name or name.endswith("/")
        ]
        return sorted(set(found))

    @staticmethod
    def _remove_streams(logs: CloudWatchLogsClient, groups: str, prefix: str) -> int:
        pages = logs.get_paginator("describe_log_groups").paginate(logGroupNamePrefix=groups)
        removed = 0
        for group in [one["logGroupName"] for page in pages for one in page["logGroups"]]:
            listed = logs.get_paginator("describe_log_streams").paginate(logGroupName=group, logStreamNamePrefix=prefix)
            for name in [one["logStreamName"] for page in listed for one in page["logStreams"]]:
                logs.delete_log_stream(logGroupName=group, logStreamName=name)
                removed += 1
        return removed
