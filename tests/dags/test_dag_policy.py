from __future__ import annotations

import ast
import copy
import json
import os
import re
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.providers.amazon.aws.operators.athena import AthenaOperator
from airflow.sdk import DAG
from airflow.sdk.exceptions import ParamValidationError
from airflow.serialization.serialized_objects import DagSerialization
from airflow.utils.types import DagRunType

from datalake.names import STREAMING_FILMS_POOL
from datalake.tables import SAKILA
from lake_airflow import assets
from lake_airflow.defaults import DEFAULT_ARGS, LAKE, SQL_PATH, START_DATE, Tag
from tests.dags.conftest import DAG_IDS, DAGS

JOURNEY = {
    "load_sakila",
    "replicate_sakila",
    "crawl_streaming_events",
    "curate_film_category",
    "enrich_streaming_films",
    "rebuild_streaming_films",
    "report_film_popularity",
}


def test_all_dags_import(dagbag: DagBag) -> None:
    assert not dagbag.import_errors
    assert set(DAG_IDS) >= JOURNEY


def test_one_dag_a_file_named_after_it(dagbag: DagBag) -> None:
    assert sorted(dagbag.dags) == DAG_IDS


def test_the_docstring_is_the_manual(dag: DAG) -> None:
    manual = ast.get_docstring(ast.parse((DAGS / f"{dag.dag_id}.py").read_text()), clean=False)
    assert manual
    assert dag.doc_md == manual
    for heading in ("**Reads**", "**Writes**", "**Schedule**", "**When it fails**"):
        assert heading in manual, heading


def test_the_manual_names_every_task_that_can_fail(dag: DAG) -> None:
    failures = str(dag.doc_md).split("**When it fails**")[1]
    judged = [
        task
        for task in dag.task_ids
        if task.startswith(("choose", "find", "reconcile", "check", "judge", "verify", "run_", "wait"))
    ]
    assert [task for task in judged if task not in failures] == []


def test_files_stay_short(dag: DAG) -> None:
    lines = (DAGS / f"{dag.dag_id}.py").read_text().splitlines()
    assert len(lines) <= 120


def test_tags_are_known(dag: DAG) -> None:
    assert dag.tags
    assert dag.tags <= set(Tag)


def test_defaults_are_the_shared_ones(dag: DAG) -> None:
    assert dag.default_args == DEFAULT_ARGS
    assert not dag.catchup
    assert dag.max_active_runs == 1
    assert dag.start_date == START_DATE
    for task in dag.tasks:
        assert task.retries == DEFAULT_ARGS["retries"] >= 1, task.task_id
        assert task.retry_policy is DEFAULT_ARGS["retry_policy"], task.task_id
        assert task.execution_timeout == DEFAULT_ARGS["execution_timeout"] > timedelta(0), task.task_id


def test_parameters_explain_themselves(dag: DAG) -> None:
    for name in dag.params:
        param = dag.params.get_param(name)
        assert param.description, name
        assert param.schema.get("pattern") or param.schema.get("enum"), name


def test_a_description_is_the_manuals_heading_and_plain_text(dag: DAG) -> None:
    assert dag.description
    assert str(dag.doc_md).startswith(f"### {dag.description}\n")
    assert not re.search("[*`<>#]|--", dag.description), "Markdown would change it"


def test_only_the_monthly_dag_may_be_backfilled(dagbag: DagBag) -> None:
    """Asked as Airflow's API asks it, which shows or hides the choice in the UI."""
    offered = set()
    for dag_id, dag in dagbag.dags.items():
        known = DagSerialization.from_dict(DagSerialization.to_dict(dag))
        if known.allowed_run_types is None or DagRunType.BACKFILL_JOB in known.allowed_run_types:
            offered.add(dag_id)
    assert offered == {"rebuild_streaming_films"}


def test_a_replay_names_its_month_and_chooses_its_reason(dagbag: DagBag) -> None:
    params = dagbag.dags["replay_quarantine"].params
    offered = params.get_param("reason").schema["enum"]
    assert {"all", "not JSON", "missing field: film_id", "event_id: expected a UUID", "too late"} <= set(offered)
    with pytest.raises(ParamValidationError, match="month"):
        params.validate()
    given = copy.deepcopy(params)
    given.update({"month": "2026-11", "reason": "not JSON"})
    assert given.validate() == {"month": "2026-11", "reason": "not JSON"}
    with pytest.raises(ParamValidationError, match="reason"):
        given.update({"month": "2026-11", "reason": "no JSON"})


def test_what_writes_streaming_films_queues_in_one_pool(dagbag: DagBag) -> None:
    for dag_id in ("enrich_streaming_films", "rebuild_streaming_films", "replay_quarantine", "maintain_lake"):
        assert dagbag.dags[dag_id].task_dict["run_job"].pool == STREAMING_FILMS_POOL


def test_a_schedule_that_needs_what_another_dag_makes_is_created_paused(dagbag: DagBag) -> None:
    """Otherwise its first run, which is due at once, would fail in a new lake."""
    paused = {dag_id for dag_id, dag in dagbag.dags.items() if dag.is_paused_upon_creation}
    assert paused == {"replicate_sakila", "enrich_streaming_films", "rebuild_streaming_films", "maintain_lake"}


def test_assets_are_named_after_what_they_stand_for(dagbag: DagBag) -> None:
    known = {asset.name for asset in (assets.LANDED_EVENTS, assets.FILM_CATEGORY, assets.STREAMING_FILMS)}
    known |= {"mysql.sakila", "landing.sakila", *(table.full_name for table in SAKILA.values())}
    reports = {"film_popularity", "overall_top_streaming_categories", "overall_top_streaming_states"}
    known |= {f"reports.{name}" for name in reports}
    written = {asset.name for dag in dagbag.dags.values() for task in dag.tasks for asset in task.outlets}
    assert written == known
    assert assets.STREAMING_FILMS.name == "curated.streaming_films"
    assert assets.STREAMING_FILMS.uri == f"s3://{LAKE.curated_bucket}/streaming_films"
    assert set(assets.CLEAN_TABLES) == set(SAKILA)


def test_every_query_runs_in_the_workgroup(dagbag: DagBag) -> None:
    queries = [t for dag in dagbag.dags.values() for t in dag.tasks if isinstance(t, AthenaOperator)]
    assert queries
    for query in queries:
        assert query.workgroup == LAKE.workgroup


def test_every_query_is_a_file(dag: DAG) -> None:
    files = {file.read_text() for file in Path(SQL_PATH).rglob("*.sql")}
    assert [task.task_id for task in dag.tasks if isinstance(task, AthenaOperator) and task.query not in files] == []


def test_no_literal_names_a_resource(dag: DAG) -> None:
    source = ast.parse((DAGS / f"{dag.dag_id}.py").read_text())
    texts = [n.value for n in ast.walk(source) if isinstance(n, ast.Constant) and isinstance(n.value, str)][1:]
    for text in texts:
        assert not any(part in text for part in ("sakila-streams", "arn:", "s3://", "us-east-1", LAKE.suffix)), text


def test_queries_lie_in_one_folder() -> None:
    assert Path(SQL_PATH) == DAGS.parent / "include" / "sql" / "athena"


# What a parse may neither import nor do: asked in a process of its own, where no other test has imported it already.
_PARSE = """
import importlib.util, json, pathlib, sys, time
# Airflow itself and the provider are imported first: their time is not the files' own.
import airflow.providers.amazon.aws.operators.athena, airflow.providers.amazon.aws.operators.dms
import airflow.providers.amazon.aws.operators.glue, airflow.providers.amazon.aws.operators.glue_crawler
import airflow.providers.amazon.aws.operators.s3, airflow.providers.amazon.aws.sensors.s3
import airflow.providers.standard.operators.python

def no_network(event, args):
    if event in ("socket.connect", "socket.getaddrinfo"):
        raise RuntimeError(f"network at parse time: {event} {args}")

sys.addaudithook(no_network)
seconds = {}
for file in pathlib.Path(sys.argv[1]).glob("*.py"):
    began = time.process_time()
    spec = importlib.util.spec_from_file_location(file.stem, file)
    spec.loader.exec_module(importlib.util.module_from_spec(spec))
    seconds[file.stem] = time.process_time() - began
heavy = {"awswrangler", "pandas", "pyarrow", "pyspark", "duckdb", "numpy"} & set(sys.modules)
print(json.dumps({"seconds": seconds, "heavy": sorted(heavy)}))
"""


def test_parsing_is_light_and_touches_no_network() -> None:
    paths = os.pathsep.join(str(DAGS.parent / folder) for folder in ("include", "plugins"))
    parsed = subprocess.run(
        [sys.executable, "-c", _PARSE, str(DAGS)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": paths, "PYTHONWARNINGS": "ignore"},
    )
    assert parsed.returncode == 0, parsed.stderr
    found = json.loads(parsed.stdout.splitlines()[-1])
    assert found["heavy"] == []
    assert sorted(found["seconds"]) == DAG_IDS
    assert max(found["seconds"].values()) < 1
