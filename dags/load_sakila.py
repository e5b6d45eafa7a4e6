"""### Loads the film company's database: SQL scripts → MySQL, verified table by table

Loads the film company's database, Sakila, into MySQL: the schema first, then the data. Nothing is replicated before the
load is verified, as a load that fails silently is the classic fault of this design.

**Reads** `sakila/sakila-schema.sql` and `sakila/sakila-data.sql` in the artifacts bucket; the MySQL secret.

**Writes** the MySQL schema `sakila`: 16 tables, 7 views, 6 triggers, 6 routines.

**Schedule** none: run it once after a deployment, or whenever the scripts change. It starts `replicate_sakila`.

**When it fails**

* `wait_for_scripts`: the deployment has not uploaded the scripts.
* `run_scripts`: MySQL cannot be reached or refuses the login (the message names host and port), or a statement failed
  (script and line).
* `verify_tables`: a table is missing or has the wrong number of rows (table, expected, found). Check the copy of Sakila
  in the artifacts bucket.

It can be run again at any time: the scripts drop the schema and create it again.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.providers.amazon.aws.sensors.s3 import S3KeySensor
from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import chain, dag

from lake_airflow import mysql_tasks
from lake_airflow.assets import MYSQL_SAKILA
from lake_airflow.defaults import DAG_ARGS, LAKE, Tag, manual, poll_seconds


@dag(
    schedule=None,
    tags=[Tag.SAKILA, Tag.INGESTION],
    **manual(__doc__),
    **DAG_ARGS,
)
def load_sakila() -> None:
    wait_for_scripts = S3KeySensor(
        task_id="wait_for_scripts",
        bucket_name=LAKE.artifacts_bucket,
        bucket_key=mysql_tasks.SCRIPT_KEYS,
        poke_interval=poll_seconds(60),
        timeout=timedelta(minutes=10).total_seconds(),
    )
    run_scripts = PythonOperator(task_id="run_scripts", python_callable=mysql_tasks.run_scripts)
    verify_tables = PythonOperator(task_id="verify_tables", python_callable=mysql_tasks.verify, outlets=[MYSQL_SAKILA])

    chain(wait_for_scripts, run_scripts, verify_tables)


load_sakila()
