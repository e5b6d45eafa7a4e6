"""The lineage, walked through the inlets and outlets of the serialised DAGs, of which Airflow makes its asset graph."""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.serialization.serialized_objects import DagSerialization

from datalake.tables import SAKILA

REPORTS = ("film_popularity", "overall_top_streaming_categories", "overall_top_streaming_states")


@pytest.fixture(scope="module")
def made_from(dagbag: DagBag) -> dict[str, set[str]]:
    """Name of an asset -> the assets that tasks make it from."""
    found = defaultdict[str, set[str]](set)
    for dag in dagbag.dags.values():
        for task in DagSerialization.from_dict(DagSerialization.to_dict(dag)).tasks:
            for outlet in task.outlets:
                found[outlet.name] |= {inlet.name for inlet in task.inlets}
    return found


def origins(made_from: dict[str, set[str]], asset: str) -> set[str]:
    """The asset and all that it comes from."""
    return {asset}.union(*(origins(made_from, source) for source in made_from[asset]))


@pytest.mark.parametrize("report", REPORTS)
@pytest.mark.parametrize("table", ["film", "film_category", "category"])
def test_a_report_comes_from_mysql_without_a_gap(made_from: dict[str, set[str]], report: str, table: str) -> None:
    chain = [
        "mysql.sakila",
        "landing.sakila",
        f"sakila.{table}",
        "curated.film_category",
        "curated.streaming_films",
        f"reports.{report}",
    ]
    assert [step for step in pairwise(chain) if step[0] not in made_from[step[1]]] == []


@pytest.mark.parametrize("report", REPORTS)
def test_a_report_comes_from_the_partners_events(made_from: dict[str, set[str]], report: str) -> None:
    assert "landing.streaming" in origins(made_from, f"reports.{report}")


def test_every_clean_table_comes_from_mysql(made_from: dict[str, set[str]]) -> None:
    assert [name for name in SAKILA if "mysql.sakila" not in origins(made_from, f"sakila.{name}")] == []
