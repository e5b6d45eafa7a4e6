from __future__ import annotations

from typing import Any

from airflow.providers.amazon.aws.hooks.logs import AwsLogsHook

from lake_airflow import job_logs
from tests.support.dag_services import Handler


def test_an_encrypted_log_is_found_under_the_name_that_glue_gives(aws_calls: dict[str, Handler]) -> None:
    """AWS's API reference of JobRun: LogGroupName may be /aws-glue/jobs-yourRoleName-yourSecurityConfigurationName/."""
    asked: list[str] = []

    def read(request: dict[str, Any]) -> dict[str, Any]:
        asked.append(request["logGroupName"])
        return {"events": [], "nextBackwardToken": "the same"}

    aws_calls["logs.GetLogEvents"] = read
    logs = AwsLogsHook().conn
    run = {"Id": "jr_1", "JobRunState": "SUCCEEDED", "LogGroupName": "/aws-glue/jobs-our-role-our-glue/"}
    assert list(job_logs.last_lines(logs, run)) == [
        "The last 0 lines of /aws-glue/jobs-our-role-our-glue/output, stream jr_1:"
    ]
    assert set(asked) == {"/aws-glue/jobs-our-role-our-glue/output"}
