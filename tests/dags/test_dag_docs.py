from __future__ import annotations

from airflow.dag_processing.dagbag import DagBag

from local.commands.dag_docs import TARGET, render


def test_dags_md_is_fresh(dagbag: DagBag) -> None:
    assert TARGET.read_text(encoding="utf-8") == render(dagbag.dags), "run: make docs"


def test_dags_md_shows_every_dag_task_and_asset(dagbag: DagBag) -> None:
    text = TARGET.read_text(encoding="utf-8")
    for name, dag in dagbag.dags.items():
        assert f"## {name}" in text
        assert all(f"`{task}`" in text for task in dag.task_ids)
    assert "curated_streaming_films[curated.streaming_films] ==> report_film_popularity" in text
