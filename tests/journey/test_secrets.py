"""While every DAG runs, the MySQL password is a canary; afterwards neither it nor any other secret is found anywhere.

The home's own secrets are canaries too: each is long, random and made for this home only. Each may be in the files
that are named here as its store, and nowhere else.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import boto3
import pytest

from datalake.names import Lake
from local.commands.airflow_api import AirflowApi
from local.engines import postgres
from local.engines.waiting import wait_until
from local.environment import endpoints
from local.settings import ENVIRONMENT, ROOT_ACCESS_KEY, SUFFIX, Settings
from tests.dags.conftest import DAG_IDS
from tests.support import secret_search
from tests.support.own_home import Home

pytestmark = pytest.mark.journey
LAKE = Lake(ENVIRONMENT, SUFFIX)
WAIT_SECONDS = 300
CANARY = "c4nary/+%in?MySql&s=password"  # with characters that URLs and base64 write differently
SECRETS_MANAGER = "data/emulator/state/secretsmanager.json"  # where the emulator keeps what Secrets Manager holds
CONNECTION = {
    "connection_id": "canary-connection",
    "conn_type": "mysql",
    "login": "lake",
    "password": "c4nary/+%in?a&connection",
}


@pytest.fixture(scope="module")
def api(home: Home) -> AirflowApi:
    return AirflowApi(f"http://127.0.0.1:{home.settings.airflow_port}")


def root(settings: Settings, service: str) -> Any:
    return boto3.client(  # type: ignore[call-overload]  # the stubs know literal names only
        service,
        endpoint_url=settings.emulator_url,
        region_name=endpoints(settings)["AWS_REGION"],
        aws_access_key_id=ROOT_ACCESS_KEY,
        aws_secret_access_key=ROOT_ACCESS_KEY,
    )


@contextmanager
def canary_as_password(settings: Settings) -> Iterator[None]:
    """Put the canary into MySQL's secret during the block. MySQL refuses it, so errors and tracebacks see it."""
    secrets = root(settings, "secretsmanager")
    before = secrets.get_secret_value(SecretId=LAKE.mysql_secret)["SecretString"]
    changed = json.dumps({**json.loads(before), "password": CANARY})
    secrets.put_secret_value(SecretId=LAKE.mysql_secret, SecretString=changed)
    try:
        yield
    finally:
        secrets.put_secret_value(SecretId=LAKE.mysql_secret, SecretString=before)


def refused(api: AirflowApi, dag_id: str, task_id: str) -> None:
    """Run a DAG until MySQL has refused the task's login once; then end the run."""
    run = api.trigger(dag_id)
    path = f"/dags/{dag_id}/dagRuns/{run}"

    def tried() -> bool:
        return bool(api.get(f"{path}/taskInstances/{task_id}")["state"] in ("up_for_retry", "failed"))

    wait_until(tried, WAIT_SECONDS, f"{dag_id}.{task_id} was not refused", pause=1)
    log = api.get(f"{path}/taskInstances/{task_id}/logs/1", full_content=True)
    assert "Access denied for user" in json.dumps(log), "MySQL was to refuse the canary"
    api.client.patch(f"/api/v2{path}", json={"state": "failed"}).raise_for_status()


def ended(api: AirflowApi, dag_id: str, **body: Any) -> None:
    """Run a DAG to its end, successful or not."""
    api.unpause(dag_id)
    run = api.trigger(dag_id, **body)
    state = partial(api.get, f"/dags/{dag_id}/dagRuns/{run}")
    wait_until(lambda: state()["state"] in ("success", "failed"), WAIT_SECONDS, f"{dag_id} has not ended", pause=1)


def stored(home: Home) -> dict[str, tuple[str, set[str]]]:
    """Name of each secret of the home -> its value, and the files below the home that are its store."""
    folder = home.settings.secrets

    def entry(file: str, key: str) -> str:
        return str(json.loads((folder / file).read_text())[key])

    return {
        "the canary": (CANARY, {SECRETS_MANAGER}),
        "the connection's canary": (CONNECTION["password"], set[str]()),
        "MySQL's password": (entry("mysql.json", "password"), {SECRETS_MANAGER, "secrets/mysql.json"}),
    }


def searched(home: Home, texts: Mapping[str, str]) -> dict[str, set[tuple[str, str]]]:
    """Kind of place -> (place, name of the text found there)."""
    wanted, settings = secret_search.needles(texts), home.settings
    return {
        "file": set(secret_search.in_files(settings.home, wanted)),
        "metadata": set(secret_search.in_postgres(postgres.url(settings).replace("+psycopg2", ""), wanted)),
        "log group": set(secret_search.in_logs(root(settings, "logs"), wanted)),
        "command line": set(secret_search.in_command_lines(home.processes(), wanted)),
    }


def test_no_secret_is_written_anywhere(home: Home, api: AirflowApi) -> None:
    api.client.post("/api/v2/connections", json=CONNECTION).raise_for_status()
    with canary_as_password(home.settings):
        refused(api, "load_sakila", "run_scripts")
        refused(api, "replicate_sakila", "check_columns")
    ended(api, "maintain_lake")
    ended(api, "replay_quarantine", conf={"month": "2020-01"})
    assert [dag_id for dag_id in DAG_IDS if not api.runs(dag_id)] == [], "every DAG has run"

    secrets = stored(home)
    found = searched(home, {name: value for name, (value, _) in secrets.items()})
    stores = {(file, name) for name, (_, files) in secrets.items() for file in files}
    assert ("secrets/mysql.json", "MySQL's password") in found["file"]
    found["file"] -= stores
    assert {where: sorted(hits) for where, hits in found.items() if hits} == {}


def test_the_search_finds_what_is_there(home: Home) -> None:
    """Otherwise the search would prove nothing."""
    known = {
        "connection": CONNECTION["connection_id"],
        "job": LAKE.film_category_job,
        "printed": "maintain_lake",  # by the job that has just run
        "folder": str(home.settings.home),
    }
    found = searched(home, known)
    assert {("connection", "connection"), ("rendered_task_instance_fields", "job"), ("xcom", "job")} <= found[
        "metadata"
    ]
    assert ("/aws-glue/jobs/output", "printed") in found["log group"]
    assert "folder" in {name for _, name in found["command line"]}
    assert "job" in {name for path, name in found["file"] if path.startswith("logs/airflow/")}


def test_nobody_else_on_the_machine_reads_a_store(home: Home) -> None:
    for name, (_, files) in stored(home).items():
        for file in files:
            path = home.settings.home / file
            below = [path, *path.parents[: len(Path(file).parts) - 1]]
            assert any(one.stat().st_mode & 0o077 == 0 for one in below), f"{file}, which holds {name}"
