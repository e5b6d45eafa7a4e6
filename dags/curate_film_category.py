"""### Makes the catalogue of films: sakila.film, film_category, category → Glue → curated.film_category

One row for each film, with its category: the static data that events are joined with.

**Reads** `sakila.film`, `sakila.film_category`, `sakila.category`.

**Writes** `curated.film_category` (Iceberg, one commit) and the run's report under `runs/film_category/`.

**Schedule** when `replicate_sakila` has reconciled all three tables. After its first success unpause
`enrich_streaming_films` and `rebuild_streaming_films`, which need its table.

**When it fails**

* `run_job`: the Glue job failed; the message is Glue's, the whole log is in the job's log group.
* `reconcile_films`: the table does not hold each film of `sakila.film` once (both numbers are given). Readers see the
  table already; mend the source, then clear the DAG run.
"""

from __future__ import annotations

from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import chain, dag

from lake_airflow import run_reports
from lake_airflow.assets import CLEAN_TABLES, FILM_CATEGORY
from lake_airflow.defaults import DAG_ARGS, GLUE_JOB, LAKE, SQL_PATH, Tag, manual
from lake_airflow.operators.athena import SqlFileOperator
from lake_airflow.operators.glue import GlueJobRunOperator

SOURCES = [CLEAN_TABLES[name] for name in ("film", "film_category", "category")]


@dag(
    schedule=SOURCES,
    tags=[Tag.SAKILA, Tag.CURATION],
    template_searchpath=SQL_PATH,
    **manual(__doc__),
    **DAG_ARGS,
)
def curate_film_category() -> None:
    run_job = GlueJobRunOperator(task_id="run_job", job_name=LAKE.film_category_job, **GLUE_JOB)
    count_films = SqlFileOperator(task_id="count_films", query="tasks/count_films.sql")
    reconcile_films = PythonOperator(
        task_id="reconcile_films",
        python_callable=run_reports.reconcile_films,
        op_args=[run_job.output, count_films.output],
        inlets=SOURCES,
        outlets=[FILM_CATEGORY],
    )

    chain(run_job, count_films, reconcile_films)


curate_film_category()
