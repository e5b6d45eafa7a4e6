"""### Replicates the film company's database: MySQL → DMS → landing (CSV) → Lambda → clean (Parquet), reconciled

DMS loads every Sakila table in full into the landing bucket. For each CSV object S3 notifies the Lambda, which writes a
Parquet object of the same name into the clean bucket and declares the table in the catalog. This DAG starts the load,
and succeeds only on evidence that all of it has arrived.

**Reads** the MySQL schema `sakila`; DMS's statistics; CSV objects under `dms/sakila/` in the landing bucket.

**Writes** the tables of database `sakila` (by DMS and Lambda). A table without rows gets a CSV with only a header, as
DMS writes none. CSV objects of earlier loads and their Parquet are removed when those of this load are converted.

**Schedule** daily at 01:20 UTC, as the film company changes its catalogue without us, and whenever `load_sakila` has
verified MySQL. It starts `curate_film_category`. One run waits for another to end. It is created paused: unpause it
when `load_sakila` has succeeded, and it runs at once. Pause it while there is no DMS
(`CreateDms`) or MySQL is stopped (`MySqlNightlyStop`).

**When it fails**

* `check_columns`: a column of MySQL was added, dropped or got another type, or holds the text that means NULL in the
  CSV files (table and column are named). Nothing was loaded. Declare the change in `include/datalake/tables.py`, or
  drop a new column in DMS's mappings.
* `run_full_load`: the task failed, or DMS skipped rows or tables; the message names them. A retry loads again.
* `wait_for_parquet`: CSV objects (named) were not converted, although lost notifications are sent again. Look at the
  dead-letter queue and at the Lambda's log.
* `reconcile_rows`: the rows of MySQL, DMS and the clean zone differ; the message gives tables and numbers. If MySQL was
  written to during the load, clear the DAG run.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import AssetOrTimeSchedule, CronTriggerTimetable, chain, dag

from lake_airflow import mysql_tasks, replication
from lake_airflow.assets import CLEAN_TABLES, LANDED_SAKILA, MYSQL_SAKILA
from lake_airflow.defaults import DAG_ARGS, LAKE, SQL_PATH, Tag, manual, poll_seconds
from lake_airflow.notices import FRESHNESS
from lake_airflow.operators.athena import SqlFileOperator
from lake_airflow.operators.dms import DmsFullLoadOperator
from lake_airflow.operators.s3 import CsvConvertedSensor

LOAD_STARTED = "{{ ti.xcom_pull(task_ids='run_full_load')['started'] }}"


@dag(
    schedule=AssetOrTimeSchedule(timetable=CronTriggerTimetable("20 1 * * *", timezone="UTC"), assets=[MYSQL_SAKILA]),
    is_paused_upon_creation=True,
    tags=[Tag.SAKILA, Tag.INGESTION],
    deadline=FRESHNESS,
    template_searchpath=SQL_PATH,
    **manual(__doc__),
    **DAG_ARGS,
)
def replicate_sakila() -> None:
    check_columns = PythonOperator(task_id="check_columns", python_callable=mysql_tasks.check_columns)
    run_full_load = DmsFullLoadOperator(
        task_id="run_full_load",
        replication_task_id=LAKE.dms_task,
        poll_interval=poll_seconds(30),
        inlets=[MYSQL_SAKILA],
        outlets=[LANDED_SAKILA],
    )
    put_headers_for_empty_tables = PythonOperator(
        task_id="put_headers_for_empty_tables",
        python_callable=replication.put_headers_for_empty_tables,
        op_args=[LOAD_STARTED],
    )
    wait_for_parquet = CsvConvertedSensor(
        task_id="wait_for_parquet",
        started=LOAD_STARTED,
        poke_interval=poll_seconds(15),
        timeout=timedelta(minutes=30).total_seconds(),
    )
    remove_superseded = PythonOperator(
        task_id="remove_superseded", python_callable=replication.remove_superseded, op_args=[LOAD_STARTED]
    )
    count_clean_rows = SqlFileOperator(
        task_id="count_clean_rows", query="tasks/sakila_row_counts.sql", values={"tables": list(CLEAN_TABLES)}
    )
    reconcile_rows = PythonOperator(
        task_id="reconcile_rows",
        python_callable=replication.reconcile_rows,
        op_args=[run_full_load.output, count_clean_rows.output],
        inlets=[LANDED_SAKILA],
        outlets=list(CLEAN_TABLES.values()),
    )

    chain(
        check_columns,
        run_full_load,
        put_headers_for_empty_tables,
        wait_for_parquet,
        remove_superseded,
        count_clean_rows,
        reconcile_rows,
    )


replicate_sakila()
