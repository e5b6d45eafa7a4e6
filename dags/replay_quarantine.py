"""### Adds repaired lines, each exactly once: repairs → landing → Glue → curated.streaming_films

An operator repairs lines of the quarantine and uploads them. This DAG checks them, publishes the good ones beside the
landed objects, and rebuilds their month. No later run undoes this, as every run reads the repairs.

**Reads** `repairs/yyyy-MM/` in the landing bucket (JSON lines, see *Repair bad lines* in `docs/operations.md`);
`curated.streaming_events_quarantine`; what `rebuild_streaming_films` reads.

**Writes** objects under `streaming-repaired/yyyy/MM/` in the landing bucket, and what `rebuild_streaming_films` writes
for this month. The run's note says how many lines were repaired and how many are left.

**Schedule** none: trigger it with the parameters `month` and `reason`, as often as you like. A line that is repaired
already is not repaired again. If the rules have changed and not the lines, run `rebuild_streaming_films` instead.

**When it fails**

* `choose_month`: the parameter is not a month. Airflow refuses a run without one.
* `publish_repairs`: nothing was uploaded for the month, or no uploaded line is good (each is named).
* `run_job`: the Glue job failed; the message is Glue's. The repairs are published; the next run takes them.
* `reconcile_lines`: the landed lines of an object are not enriched + quarantined + duplicates, or the tables hold other
  numbers than the job reported (all are given).
* `judge_lines`: too many lines of the month are bad still (share and reasons are given). The good ones are committed,
  reconciled and reported: see *Too many bad lines* in `docs/operations.md`.
* `check_repairs`: some uploaded lines were refused; file, line and reason are given. All others are repaired. Correct
  or delete the upload, and run the DAG again.
"""

from __future__ import annotations

from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import chain, dag

from lake_airflow import replay
from lake_airflow.defaults import DAG_ARGS, SQL_PATH, Tag, manual
from lake_airflow.enrichment_tasks import enrich_and_reconcile
from lake_airflow.run_month import REQUIRED_MONTH_PARAM, month_of_run


@dag(
    schedule=None,
    tags=[Tag.EVENTS, Tag.CURATION],
    params={"month": REQUIRED_MONTH_PARAM, "reason": replay.REASON_PARAM},
    template_searchpath=SQL_PATH,
    **manual(__doc__),
    **DAG_ARGS,
)
def replay_quarantine() -> None:
    choose_month = PythonOperator(task_id="choose_month", python_callable=month_of_run)
    publish_repairs = PythonOperator(
        task_id="publish_repairs", python_callable=replay.publish_repairs, op_args=[choose_month.output]
    )
    enrich = enrich_and_reconcile({"--mode": "rebuild", "--month": choose_month.output})
    check_repairs = PythonOperator(
        task_id="check_repairs",
        python_callable=replay.check_repairs,
        op_args=[publish_repairs.output, choose_month.output],
    )

    chain(choose_month, publish_repairs, enrich)
    chain(enrich.children["reconcile_lines"], check_repairs)


replay_quarantine()
