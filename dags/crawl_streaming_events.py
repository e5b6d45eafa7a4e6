"""### Registers landed events in the catalog: objects → Glue crawler → landing.streaming

Keeps the raw table for ad-hoc queries up to date: the crawler registers each month's folder as a partition, and shows
when the fields of the partners' events have changed (drift). No other DAG depends on it: the enrichment reads the
objects themselves.

**Reads** the objects under `streaming/yyyy/MM/` in the landing bucket.

**Writes** the table `landing.streaming` and its partitions.

**Schedule** hourly, at a quarter past. A crawl is billed for ten minutes at least, so it starts only for a month that
the catalog does not have, or when events have landed and the last crawl is a day old. In all other hours `is_crawl_due`
skips the later tasks.

**When it fails**

* `run_crawler`: the crawler failed or was cancelled; its log group says why.
* `check_catalog`: the crawler has run, but a landed month (named) is not in the catalog. Look for objects that are not
  JSON.

New, missing or changed columns are not a failure: `check_catalog` returns them and logs a warning.
"""

from __future__ import annotations

from airflow.providers.amazon.aws.operators.glue_crawler import GlueCrawlerRunOperator
from airflow.providers.standard.operators.python import PythonOperator, ShortCircuitOperator
from airflow.sdk import CronTriggerTimetable, chain, dag

from lake_airflow import crawls
from lake_airflow.assets import LANDED_EVENTS
from lake_airflow.defaults import DAG_ARGS, LAKE, Tag, manual, poll_seconds


@dag(
    schedule=CronTriggerTimetable("15 * * * *", timezone="UTC"),
    tags=[Tag.EVENTS, Tag.INGESTION],
    **manual(__doc__),
    **DAG_ARGS,
)
def crawl_streaming_events() -> None:
    is_crawl_due = ShortCircuitOperator(task_id="is_crawl_due", python_callable=crawls.is_due)
    run_crawler = GlueCrawlerRunOperator(
        task_id="run_crawler",
        crawler_name=LAKE.crawler,
        fail_on_already_running=False,  # check_catalog or the next hour finds what the present run misses
        poll_interval=poll_seconds(5),
    )
    check_catalog = PythonOperator(
        task_id="check_catalog", python_callable=crawls.check_catalog, outlets=[LANDED_EVENTS]
    )

    chain(is_crawl_due, run_crawler, check_catalog)


crawl_streaming_events()
