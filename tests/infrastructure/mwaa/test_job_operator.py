"""Our Glue operator works with the provider of Amazon that MWAA has, not only with the one that is locked here."""

from __future__ import annotations

import json
from pathlib import Path

from tests.infrastructure.mwaa.test_package import started

# Starts a job of a faked Glue, and goes on when it has ended.
RUN = """
import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from airflow.sdk.exceptions import TaskDeferred
from botocore.client import BaseClient
from lake_airflow.operators.glue import GlueJobRunOperator

ENDED = {"Id": "jr_1", "JobRunState": "SUCCEEDED", "LogGroupName": "/aws-glue/jobs"}
ANSWERS = {
    "GetJob": {"Job": {"Name": "the-job"}},
    "GetJobRuns": {"JobRuns": []},
    "StartJobRun": {"JobRunId": "jr_1"},
    "GetJobRun": {"JobRun": ENDED},
    "GetLogEvents": {"events": [], "nextBackwardToken": "the first"},
}
calls = []

def answer(client, operation, request):
    calls.append([operation, request])
    return ANSWERS[operation]

BaseClient._make_api_call = answer
ti = SimpleNamespace(
    dag_id="d", task_id="t", run_id="r", map_index=-1, max_tries=2, start_date=datetime.now(UTC),
    xcom_push=lambda **_: None,
)
context = {"ti": ti, "dag_run": SimpleNamespace(run_after=datetime.now(UTC))}
operator = GlueJobRunOperator(task_id="t", job_name="the-job", script_args={"--mode": "hourly"}, waiter_delay=7)
try:
    operator.execute(context)
except TaskDeferred as deferred:
    classpath, arguments = deferred.trigger.serialize()
    method = getattr(operator, deferred.method_name)
result = method(context, {"status": "success", "run_id": "jr_1"})
print(json.dumps({"calls": calls, "trigger": classpath.split(".")[-1], "arguments": arguments, "result": result}))
"""


def test_a_job_is_started_once_and_waited_for_by_the_providers_trigger(airflow_home: Path, interpreter: Path) -> None:
    modules = airflow_home / "plugins"
    done = started(airflow_home, [interpreter, "-c", f"import sys; sys.path.append({str(modules)!r})\n{RUN}"])
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    arguments = {"--mode": "hourly", "--airflow_task_uuid": "d:t:r:-1:2"}
    assert ["StartJobRun", {"JobName": "the-job", "Arguments": arguments}] in found["calls"]
    assert found["trigger"] == "GlueJobCompleteTrigger"
    expected = {"job_name": "the-job", "run_id": "jr_1", "waiter_delay": 7}
    assert {name: found["arguments"][name] for name in expected} == expected
    assert found["result"] == "jr_1"
