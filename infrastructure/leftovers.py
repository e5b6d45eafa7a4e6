"""What a deployment's services made by themselves, which no stack deletes.

Log groups of DMS, RDS and MWAA bear a name of ours. Glue's are shared by the account (``/aws-glue/jobs/...``,
``/aws-glue/crawlers``): there only the streams of our jobs' runs and of our crawler go, and no group.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from botocore.exceptions import ClientError

from datalake.names import Lake
from infrastructure.stack import Clients, Json, Progress

# Where services log what their resource {name} does, if need be into a group that they make.
GROUPS = {
    "AWS::Lambda::Function": ["/aws/lambda/{name}"],
    "AWS::KinesisFirehose::DeliveryStream": ["/aws/kinesisfirehose/{name}"],
    "AWS::MWAA::Environment": [
        f"airflow-{{name}}-{part}" for part in ("DAGProcessing", "Scheduler", "Task", "WebServer", "Worker")
    ],
}
GLUE_JOBS, GLUE_CRAWLERS = "/aws-glue/jobs/", "/aws-glue/crawlers"


class Leftovers:
    """Of one deployment. ``remember`` before its stack is deleted, ``remove`` after."""

    def __init__(self, lake: Lake, clients: Clients, progress: Progress) -> None:
        self._lake, self._clients, self._progress = lake, clients, progress
        self._streams: list[tuple[str, str]] = []  # (prefix of log groups, prefix of their streams)
        self._secrets: list[str] = []
        # those that are named without the stack's help; a name with a closing slash is a prefix
        self._groups = [f"dms-tasks-{lake.dms_instance}", f"/aws/rds/instance/{lake.mysql_instance}/"]

    def remember(self, listed: list[Json]) -> None:
        """Note what cannot be found any more once the stack is gone."""
        glue = self._clients("glue")
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
            elif one["ResourceType"] in GROUPS:
                self._groups += [text.format(name=name) for text in GROUPS[one["ResourceType"]]]

    def remove(self) -> None:
        """Delete it all."""
        logs = self._clients("logs")
        for group in self._log_groups(logs):
            logs.delete_log_group(logGroupName=group)
            self._progress(f"log group {group} deleted")
        removed = sum(self._remove_streams(logs, group, stream) for group, stream in self._streams)
        if removed:
            self._progress(f"{removed} log streams of Glue deleted")
        for secret in self._secrets:
            self._remove_secret(secret)

    def snapshots(self) -> Iterator[str]:
        """Names of the database's snapshots, which cost something and may be all that is left of the data."""
        pages = self._clients("rds").get_paginator("describe_db_snapshots").paginate(SnapshotType="manual")
        for page in pages:
            for one in page["DBSnapshots"]:
                if one["DBInstanceIdentifier"] == self._lake.mysql_instance:
                    yield f"{one['DBSnapshotIdentifier']}, {one['AllocatedStorage']} GiB allocated"

    def _log_groups(self, logs: Any) -> list[str]:
        """Groups whose names say that they are this deployment's, and not that of one named alike."""
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
    def _remove_streams(logs: Any, groups: str, prefix: str) -> int:
        pages = logs.get_paginator("describe_log_groups").paginate(logGroupNamePrefix=groups)
        removed = 0
        for group in [one["logGroupName"] for page in pages for one in page["logGroups"]]:
            listed = logs.get_paginator("describe_log_streams").paginate(logGroupName=group, logStreamNamePrefix=prefix)
            for name in [one["logStreamName"] for page in listed for one in page["logStreams"]]:
                logs.delete_log_stream(logGroupName=group, logStreamName=name)
                removed += 1
        return removed

    def _remove_secret(self, secret: str) -> None:
        """Remove a secret that waits for its deletion: its name would be taken for as long."""
        manager = self._clients("secretsmanager")
        try:
            manager.delete_secret(SecretId=secret, ForceDeleteWithoutRecovery=True)
        except ClientError as error:
            if error.response["Error"]["Code"] != "ResourceNotFoundException":
                raise
