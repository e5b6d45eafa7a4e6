"""The tasks that every DAG of ``curated.streaming_films`` has: run the job, prove that no line is lost, judge them.

They are judged last, so that a run with too many bad lines has done all its work before it fails.
"""

from __future__ import annotations

from typing import Any

from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import TaskGroup, TriggerRule, chain

from datalake.names import STREAMING_FILMS_POOL
from lake_airflow import run_reports
from lake_airflow.assets import FILM_CATEGORY, LANDED_EVENTS, STREAMING_FILMS
from lake_airflow.defaults import GLUE_JOB, LAKE
from lake_airflow.operators.athena import SqlFileOperator
from lake_airflow.operators.glue import GlueJobRunOperator


def enrich_and_reconcile(job_arguments: dict[str, Any], *, rerun_when_cleared: bool = True) -> TaskGroup:
    """Make the tasks ``run_job`` -> ``count_lines`` -> ``reconcile_lines`` -> ``judge_lines``; ids have no prefix.

    ``job_arguments`` are the arguments of the Glue job streaming_films, such as ``{"--mode": "hourly"}``. For
    ``rerun_when_cleared`` see GlueJobRunOperator.
    """
    with TaskGroup("enrich_and_reconcile", prefix_group_id=False) as group:
        run_job = GlueJobRunOperator(
            task_id="run_job",
            job_name=LAKE.streaming_films_job,
            script_args=job_arguments,
            rerun_when_cleared=rerun_when_cleared,
            pool=STREAMING_FILMS_POOL,
            **GLUE_JOB,
        )
        count_lines = SqlFileOperator(
            task_id="count_lines", query="tasks/reconciliation_of_run.sql", values={"job_run_id": run_job.output}
        )
        reconcile_lines = PythonOperator(
            task_id="reconcile_lines",
            python_callable=run_reports.reconcile_lines,
            op_args=[run_job.output, count_lines.output],
            inlets=[LANDED_EVENTS, FILM_CATEGORY],
            outlets=[STREAMING_FILMS],
        )
        judge_lines = PythonOperator(
            task_id="judge_lines",
            python_callable=run_reports.judge_lines,
            op_args=[run_job.output],
            trigger_rule=TriggerRule.NONE_FAILED,  # reconcile_lines is skipped when no month was changed
        )
        chain(run_job, count_lines, reconcile_lines, judge_lines)
    return group
