"""### Rebuilds one arrival month: its landed events, curated.film_category → Glue → curated.streaming_films

Reads all objects of one month and replaces the month in both tables, in one commit each: for the monthly close, after
changes of rules or films, and as **the DAG to backfill**. It gives the same rows as the hourly runs did.

**Reads** every object under `streaming/yyyy/MM/` and `streaming-repaired/yyyy/MM/` of its month;
`curated.film_category`.

**Writes** the month in `curated.streaming_films` and `curated.streaming_events_quarantine`, one row for each object in
`curated.streaming_reconciliation`, the run's report under `runs/streaming_films/`, its numbers in the run's note. Emits
an asset event for the month, which starts `report_film_popularity`.

**Schedule** on the 2nd of each month at 02:00 UTC for the month before (Firehose may deliver up to 24 hours late).
It is created paused: unpause it when `curate_film_category` has succeeded. The month is the run's partition key:

* backfill: `airflow backfill create --dag-id rebuild_streaming_films --from-date 2026-08-01 --to-date 2026-10-31`
  makes 2026-08, 2026-09 and 2026-10: every month with a day in the range, the first and the last day included, but no
  month of the future; add `--reprocess-behavior completed` for months that had a run before. On one machine, type
  `make airflow` instead, with what follows `airflow` in quotes as its `ARGS`;
* by hand: trigger it with a partition key, or with the parameter `month`.

**When it fails**

* `choose_month`: the run has neither key nor parameter (the message names the months with events), or it is not a
  month.
* `run_job`: the Glue job failed; the message is Glue's. The month is as it was before.
* `reconcile_lines`: the landed lines of an object are not enriched + quarantined + duplicates, or the tables hold other
  numbers than the job reported (all are given).
* `judge_lines`: too many lines are bad (share and reasons are given). The good ones are committed, reconciled and
  reported: see *Too many bad lines* in `docs/operations.md`.
"""

from __future__ import annotations

from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import chain, dag

from lake_airflow.defaults import DAG_ARGS, SQL_PATH, Tag, manual
from lake_airflow.enrichment_tasks import enrich_and_reconcile
from lake_airflow.month_timetable import MonthTimetable
from lake_airflow.run_month import MONTH_PARAM, month_of_run


@dag(
    schedule=MonthTimetable("0 2 2 * *", timezone="UTC", key_format="%Y-%m"),
    is_paused_upon_creation=True,
    tags=[Tag.EVENTS, Tag.CURATION],
    params={"month": MONTH_PARAM},
    template_searchpath=SQL_PATH,
    **manual(__doc__),
    **{**DAG_ARGS, "allowed_run_types": None},  # this one may be backfilled
)
def rebuild_streaming_films() -> None:
    choose_month = PythonOperator(task_id="choose_month", python_callable=month_of_run)
    enrich = enrich_and_reconcile({"--mode": "rebuild", "--month": choose_month.output})

    chain(choose_month, enrich)


rebuild_streaming_films()
