"""### Reports which genres, where, and how each title did in the month: curated.streaming_films → Athena → reports

Runs the two saved queries over all months and a query over the month that has changed, all in the analysts' workgroup,
and publishes the results as CSV.

**Reads** `curated.streaming_films`.

**Writes** in the results bucket: `reports/overall_top_streaming_categories.csv`,
`reports/overall_top_streaming_states.csv`, `reports/<yyyy>/<MM>/film_popularity.csv`. Each run replaces them. The run's
note has the month, the file of its report, and the title on top with its number of streams.

**Schedule** once for each month of `curated.streaming_films` that `enrich_streaming_films` or `rebuild_streaming_films`
has changed; the month is the run's partition key. By hand: trigger it with a partition key or the parameter `month`.

**When it fails**

* `choose_month`: the run has neither key nor parameter (the message names the months with events), or it is not a
  month.
* a query: the message is Athena's. A query over the workgroup's limit is CANCELLED with "Bytes scanned limit was
  exceeded" and not repeated, as each attempt is billed: narrow the query, or raise the limit in the template.
"""

from __future__ import annotations

from pathlib import Path

from airflow.providers.amazon.aws.operators.s3 import S3CopyObjectOperator
from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import IdentityMapper, PartitionedAssetTimetable, chain, dag

from datalake.months import Month
from datalake.names import QUERY_RESULTS_PREFIX, REPORTS_PREFIX
from lake_airflow import run_reports
from lake_airflow.assets import STREAMING_FILMS, report_asset
from lake_airflow.defaults import DAG_ARGS, LAKE, SQL_PATH, Tag, manual
from lake_airflow.operators.athena import SqlFileOperator
from lake_airflow.run_month import MONTH_PARAM, month_of_run

MONTH_FOLDER = "{{ Month.parse(ti.xcom_pull(task_ids='choose_month')).folder }}"
# SQL file under include/sql/athena --> folder of its report
REPORTS = {
    "saved/overall_top_streaming_categories.sql": "",
    "saved/overall_top_streaming_states.sql": "",
    "tasks/film_popularity_of_month.sql": MONTH_FOLDER,
}


@dag(
    schedule=PartitionedAssetTimetable(assets=STREAMING_FILMS, default_partition_mapper=IdentityMapper()),
    tags=[Tag.EVENTS, Tag.REPORTING],
    params={"month": MONTH_PARAM},
    template_searchpath=SQL_PATH,
    user_defined_macros={"Month": Month},
    **manual(__doc__),
    **DAG_ARGS,
)
def report_film_popularity() -> None:
    choose_month = PythonOperator(task_id="choose_month", python_callable=month_of_run)
    for file, folder in REPORTS.items():
        name = Path(file).stem
        report = name.removesuffix("_of_month")
        query = SqlFileOperator(task_id=f"query_{name}", query=file, values={"month": choose_month.output})
        publish = S3CopyObjectOperator(
            task_id=f"publish_{name}",
            source_bucket_name=LAKE.results_bucket,
            source_bucket_key=f"{QUERY_RESULTS_PREFIX}{query.output}.csv",
            dest_bucket_name=LAKE.results_bucket,
            dest_bucket_key=f"{REPORTS_PREFIX}{folder}{report}.csv",
            acl_policy="no-acl",  # buckets of the lake have no ACLs
            inlets=[STREAMING_FILMS],
            outlets=[report_asset(report, "yyyy/MM/" if folder else "")],
        )
        chain(choose_month, query, publish)
    # of the month's own report, the last of REPORTS
    note_top_title = PythonOperator(
        task_id="note_top_title",
        python_callable=run_reports.tell_top_title,
        op_args=[choose_month.output, query.output, publish.dest_bucket_key],
    )
    chain(publish, note_top_title)


report_film_popularity()
