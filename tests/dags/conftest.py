"""One parse of the DAG folder, and one metadata database, for all tests of the DAGs."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk import DAG

DAGS = Path(__file__).parents[2] / "dags"
DAG_IDS = sorted(file.stem for file in DAGS.glob("*.py"))


@pytest.fixture(scope="session")
def dagbag() -> DagBag:
    """The DAGs as Airflow parses them."""
    return DagBag(DAGS, bundle_path=DAGS)


@pytest.fixture(params=DAG_IDS)
def dag(request: pytest.FixtureRequest, dagbag: DagBag) -> DAG:
    """Each DAG in turn."""
    found: DAG = dagbag.dags[request.param]
    return found


@pytest.fixture(scope="session")
def airflow_db() -> None:
    """Airflow's metadata in a database of this test session, so that DAGs can be run whole by ``dag.test``."""
    from airflow.utils.db import initdb

    initdb()


@pytest.fixture
def no_waiting(monkeypatch: pytest.MonkeyPatch, dagbag: DagBag) -> None:
    """Retries and polls follow each other at once.

    No DAG has a deadline: when its run succeeds, Airflow 3.3 looks for the alert by its id, and ``dag.test`` has the
    alert itself in that place, as it reads no DAG from the database (the scheduler does).
    """
    for dag in dagbag.dags.values():
        monkeypatch.setattr(dag, "deadline", None)
        for task in dag.tasks:
            monkeypatch.setattr(task, "retry_delay", timedelta(0))
            monkeypatch.setattr(task, "retry_exponential_backoff", 0)
            for interval in ("waiter_delay", "sleep_time", "poke_interval", "poll_interval"):
                if hasattr(task, interval):
                    monkeypatch.setattr(task, interval, 0)
