"""The DAGs that the demo does not run: the repair of a bad line, and the maintenance of the tables."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest

from datalake.names import Lake
from local.commands.airflow_api import AirflowApi
from local.settings import ENVIRONMENT, ROOT_ACCESS_KEY, SUFFIX
from oracle.recount import verdict
from tests.support.own_home import Home

pytestmark = pytest.mark.journey
LAKE = Lake(ENVIRONMENT, SUFFIX)


@pytest.fixture(scope="module")
def api(home: Home) -> AirflowApi:
    return AirflowApi(f"http://127.0.0.1:{home.settings.airflow_port}")


def run(api: AirflowApi, dag_id: str, **conf: Any) -> dict[str, Any]:
    """Trigger a run and wait until it has succeeded."""
    return api.wait_run(dag_id, api.trigger(dag_id, conf=conf), lambda _: None)


def test_a_bad_line_is_repaired(api: AirflowApi, session: boto3.Session) -> None:
    import awswrangler as wr

    moment = datetime.now(UTC)
    event = {
        "timestamp": f"{moment:%Y-%m-%dT%H:%M:%SZ}",
        "eventtype": "rent",
        "film_id": 12,
        "distributor": "amazon",
        "platform": "ios",
        "state": "Utah",
        "event_id": str(uuid.uuid4()),
    }
    name = f"{LAKE.delivery_stream}-1-{moment:%Y-%m-%d-%H-%M-%S}-{uuid.uuid4()}"
    key = f"streaming/{moment:%Y/%m}/{name}"
    root = boto3.client("s3", aws_access_key_id=ROOT_ACCESS_KEY, aws_secret_access_key=ROOT_ACCESS_KEY)
    root.put_object(Bucket=LAKE.landing_bucket, Key=key, Body=b'{"film_id": "twelve"}\n')  # as a partner sent it
    run(api, "enrich_streaming_films")
    repair = {"supersedes": {"source_file": key, "source_line": 1}, "event": event}
    operator = session.client("s3")
    operator.put_object(
        Bucket=LAKE.landing_bucket, Key=f"repairs/{moment:%Y-%m}/mended.json", Body=json.dumps(repair) + "\n"
    )
    ended = run(api, "replay_quarantine", month=f"{moment:%Y-%m}")
    assert "repaired: missing field: timestamp 1; left in quarantine: none" in ended["note"]
    [repaired] = operator.list_objects_v2(Bucket=LAKE.landing_bucket, Prefix="streaming-repaired/")["Contents"]
    body = operator.get_object(Bucket=LAKE.landing_bucket, Key=repaired["Key"])["Body"].read()
    assert json.loads(body) == repair
    sql = f"select film_id from streaming_films where event_id = '{event['event_id']}'"
    frame = wr.athena.read_sql_query(
        sql, "curated", workgroup=LAKE.workgroup, ctas_approach=False, boto3_session=session
    )
    assert frame["film_id"].tolist() == [12]


def test_upkeep_leaves_every_row(api: AirflowApi, session: boto3.Session) -> None:
    """The oracle, which recounts the tables from what has landed, finds the same rows before and after."""
    before = verdict(session, LAKE.landing_bucket)
    assert before.ok, str(before)
    api.unpause("maintain_lake")
    run(api, "maintain_lake")
    after = verdict(session, LAKE.landing_bucket)
    assert after.ok, str(after)
    assert (after.hash, after.enriched, after.quarantined) == (before.hash, before.enriched, before.quarantined)
    assert after.enriched > 0
