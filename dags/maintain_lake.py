"""### Maintains the curated tables: Iceberg → Glue → the same rows in fewer files, without old snapshots and orphans

Hourly commits leave small files and snapshots; killed jobs leave files that no table names (orphans).

**Reads** the metadata of every table of `curated`, and the small files that it compacts.

**Writes** the same tables, without changing a row; the run's report under `runs/maintain_lake/`.

* Small files of one stream and month are compacted, if they are many and older than all that an hourly run reads.
* Snapshots older than `snapshot_days` expire, except the last `keep_snapshots`. **Time travel to them ends.** Those of
  `film_category` stay, as they show which version of the catalogue a row was enriched with.
* Objects in a table's folder that no snapshot names and that are older than `orphan_days` are removed.

**Schedule** Sundays at 04:35 UTC. Writers of `streaming_films` wait meanwhile; queries do not. It is created paused:
unpause it with `enrich_streaming_films`.

**When it fails**

* `run_job`: the Glue job failed; the message is Glue's. Every table can be read as before; the
  next run continues, and removes files that this one has left.
* `check_rows`: a commit changed the number of a table's rows (the numbers are given). The snapshot before it is kept
  for `snapshot_days`: pause the writers, and roll the table back with Iceberg's `rollback_to_snapshot`.
"""

from __future__ import annotations

from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import CronTriggerTimetable, chain, dag

from datalake.names import STREAMING_FILMS_POOL
from lake_airflow.defaults import DAG_ARGS, GLUE_JOB, LAKE, Tag, manual
from lake_airflow.maintain_lake import check_row_counts, number_param
from lake_airflow.operators.glue import GlueJobRunOperator


@dag(
    schedule=CronTriggerTimetable("35 4 * * SUN", timezone="UTC"),
    is_paused_upon_creation=True,
    tags=[Tag.CURATION],
    params={
        "snapshot_days": number_param(7, "days for which every snapshot is kept"),
        "keep_snapshots": number_param(10, "number of snapshots that are kept whatever their age"),
        "orphan_days": number_param(3, "days for which an object that no snapshot names is kept"),
    },
    **manual(__doc__),
    **DAG_ARGS,
)
def maintain_lake() -> None:
    run_job = GlueJobRunOperator(
        task_id="run_job",
        job_name=LAKE.maintain_lake_job,
        script_args={
            "--snapshot_days": "{{ params.snapshot_days }}",
            "--keep_snapshots": "{{ params.keep_snapshots }}",
            "--orphan_days": "{{ params.orphan_days }}",
        },
        pool=STREAMING_FILMS_POOL,
        **GLUE_JOB,
    )
    check_rows = PythonOperator(task_id="check_rows", python_callable=check_row_counts, op_args=[run_job.output])

    chain(run_job, check_rows)


maintain_lake()
