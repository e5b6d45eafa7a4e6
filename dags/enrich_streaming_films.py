"""### Enriches what is new, every hour: landed events, curated.film_category → Glue → curated.streaming_films

Every landed line that is not in the tables yet becomes one row: in `streaming_films` with its film's title and
category, or in `streaming_events_quarantine` with the reason.

**Reads** new objects under `streaming/` and `streaming-repaired/` in the landing bucket; `curated.film_category`.

**Writes** `curated.streaming_films`, `curated.streaming_events_quarantine`, one row for each object in
`curated.streaming_reconciliation`, the run's report under `runs/streaming_films/`, its numbers in the run's note. Emits
an asset event for each arrival month that it changed, which starts `report_film_popularity`.

**Schedule** hourly, at five past. A run takes what has landed and is not done, whatever the hour: a late run, a manual
run, or the only run after a day's pause takes all of it. With nothing new, `find_new_objects` skips the later tasks.
The run of 03:05 sweeps: it also looks for objects with names older than a day, which have arrived late.
It is created paused: unpause it when `curate_film_category` has succeeded.

**When it fails**

* `find_new_objects`: the landing bucket or the tables could not be read.
* `run_job`: the Glue job failed; the message is Glue's. The next attempt or hour takes the same objects.
* `reconcile_lines`: the landed lines of an object are not enriched + quarantined + duplicates, or the tables hold other
  numbers than the job reported (all are given). Rebuild the named months with `rebuild_streaming_films`.
* `judge_lines`: too many lines are bad (share and reasons are given). The good ones are committed, reconciled and
  reported: see *Too many bad lines* in `docs/operations.md`.

A cleared run starts no second job if its first has succeeded: it reconciles, announces and judges what that one took.
"""

from __future__ import annotations

from airflow.providers.standard.operators.python import ShortCircuitOperator
from airflow.sdk import CronTriggerTimetable, chain, dag

from lake_airflow import new_events
from lake_airflow.defaults import DAG_ARGS, SQL_PATH, Tag, manual
from lake_airflow.enrichment_tasks import enrich_and_reconcile
from lake_airflow.notices import FRESHNESS


@dag(
    schedule=CronTriggerTimetable("5 * * * *", timezone="UTC"),
    is_paused_upon_creation=True,
    tags=[Tag.EVENTS, Tag.CURATION],
    params={"mode": new_events.MODE_PARAM},
    deadline=FRESHNESS,
    template_searchpath=SQL_PATH,
    **manual(__doc__),
    **DAG_ARGS,
)
def enrich_streaming_films() -> None:
    find_new_objects = ShortCircuitOperator(task_id="find_new_objects", python_callable=new_events.mode_of_new_objects)
    enrich = enrich_and_reconcile({"--mode": find_new_objects.output}, rerun_when_cleared=False)

    chain(find_new_objects, enrich)


enrich_streaming_films()
