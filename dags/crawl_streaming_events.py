"""### Landed events --Glue crawler--> landing.streaming

Keeps the raw table for ad-hoc queries: the crawler registers each month's folder as a partition and shows when the
partners' events have changed their shape (drift). No other DAG waits for it: the
enrichment reads the objects themselves.

**Reads** the objects under `streaming/yyyy/MM/` in the landing bucket.

**Writes** table and partitions of `landing.streaming`.

**Schedule** hourly, at a quarter past. A crawl is billed ten minutes at least, so it starts only for a month that the
catalog does not know, or when events have landed and the last crawl is a day old; any other hour ends at
`is_crawl_due`, its later tasks skipped.

**When it fails**

* `run_crawler`: the crawler failed or was cancelled; its log group says why.
* `check_catalog`: it ran, and still a landed month is not in the catalog (named). Look for objects that are no JSON.

New, missing or changed columns do not fail it: `check_catalog` returns them and logs a warning.
"""

from __future__ import annotations

from airflow.providers.amazon.aws.operators.glue_crawler import GlueCrawlerRunOperator
from airflow.providers.standard.operators.python import PythonOperator, ShortCircuitOperator
from airflow.sdk import CronTriggerTimetable, chain, dag

from lake_airflow import crawls
from lake_airflow.assets import LANDED_EVENTS
from lake_airflow.defaults import DEFAULT_ARGS, LAKE, START_DATE, Tag, poll_seconds


@dag(
    schedule=CronTriggerTimetable("15 * * * *", timezone="UTC"),
    start_date=START_DATE,
    catchup=False,
    max_active_runs=1,
    tags=[Tag.EVENTS, Tag.INGESTION],
    default_args=DEFAULT_ARGS,
    doc_md=__doc__,
)
def crawl_streaming_events() -> None:
    is_crawl_due = ShortCircuitOperator(task_id="is_crawl_due", python_callable=crawls.is_due)
    run_crawler = GlueCrawlerRunOperator(
        task_id="run_crawler",
        crawler_name=LAKE.crawler,
        fail_on_already_running=False,  # what a run in flight misses, check_catalog finds, or the next hour
        poll_interval=poll_seconds(5),
    )
    check_catalog = PythonOperator(
        task_id="check_catalog", python_callable=crawls.check_catalog, outlets=[LANDED_EVENTS]
    )

    chain(is_crawl_due, run_crawler, check_catalog)


crawl_streaming_events()
