"""What services left behind is found by its exact name; other deployments' resources are kept."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from datalake.names import Lake
from infrastructure.leftovers import Leftovers
from tests.support.aws_services import LakeServer

LAKE = Lake("dev", "1")


@pytest.mark.services
def test_only_this_deployments_logs_go(lake_server: LakeServer) -> None:
    def clients(service: str) -> Any:
        return lake_server.client(service) if service in ("glue", "dms") else lake_server.emulator.client(service)

    logs, glue = clients("logs"), clients("glue")
    ours = ["dms-tasks-sakila-streams-dev-dms", "/aws/rds/instance/sakila-streams-dev-sakila/error",
            "/aws/lambda/sakila-streams-dev-csv-to-parquet", "airflow-sakila-streams-dev-airflow-Task"]  # fmt: skip
    others = ["dms-tasks-sakila-streams-dev-dms2", "/aws/rds/instance/sakila-streams-dev-sakila-2/error",
              "/aws/lambda/sakila-streams-dev-csv-to-parquet2", "airflow-sakila-streams-dev-airflow-Task2"]  # fmt: skip
    shared = {"/aws-glue/jobs/output": ["jr_other", "{run}"], "/aws-glue/crawlers": ["of-others", LAKE.crawler]}
    glue.create_job(Name=LAKE.film_category_job, Role="r", Command={"Name": "glueetl", "ScriptLocation": "s3://x/y"})
    for group in (*ours, *others, *shared):
        logs.create_log_group(logGroupName=group)
    for group, streams in shared.items():
        for stream in streams:
            logs.create_log_stream(logGroupName=group, logStreamName=stream.format(run="jr_ours"))
    leftovers = Leftovers(LAKE, clients, lambda _: None)
    listed: list[Any] = [
        {"ResourceType": type_name, "PhysicalResourceId": name}
        for type_name, name in (
            ("AWS::Lambda::Function", LAKE.csv_function),
            ("AWS::MWAA::Environment", LAKE.name("airflow")),
            ("AWS::Glue::Crawler", LAKE.crawler),
            ("AWS::Glue::Job", LAKE.film_category_job),
            ("AWS::SecretsManager::Secret", "no-such-secret"),
        )
    ]
    leftovers.remember(listed)
    leftovers._streams.append(("/aws-glue/jobs/", "jr_ours"))  # as if the job had run
    leftovers.remove()
    left = {one["logGroupName"] for one in logs.describe_log_groups()["logGroups"]}
    assert left & {*ours, *others, *shared} == {*others, *shared}
    for group, (stays, _) in shared.items():
        streams = logs.describe_log_streams(logGroupName=group)["logStreams"]
        assert [one["logStreamName"] for one in streams] == [stays]
    for group in (*others, *shared):
        logs.delete_log_group(logGroupName=group)
    glue.delete_job(JobName=LAKE.film_category_job)
    with pytest.raises(ClientError):
        logs.delete_log_group(logGroupName=ours[0])
