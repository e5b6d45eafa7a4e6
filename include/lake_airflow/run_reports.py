"""The run reports of the Glue jobs, and what must be true of them. A job writes its report after its commits."""

from __future__ import annotations

import json
import logging
from typing import Any

from airflow.providers.amazon.aws.hooks.athena import AthenaHook
from airflow.providers.amazon.aws.hooks.s3 import S3Hook
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from datalake import tables
from datalake.landing import UNKNOWN_MONTH
from datalake.run_reports import report_key
from datalake.schemas import Table
from lake_airflow.assets import STREAMING_FILMS
from lake_airflow.athena import query_rows
from lake_airflow.defaults import LAKE

log = logging.getLogger(__name__)

Report = dict[str, Any]


def read_report(table: Table, run_id: str) -> Report:
    """What one run of the job that writes ``table`` reported: ``runs/<table>/<run id>.json`` in the curated bucket."""
    report: Report = json.loads(S3Hook().read_key(report_key(table.name, run_id), LAKE.curated_bucket))
    return report


def reconcile_films(job_run_id: str, count_query: str) -> str:
    """Prove that film_category holds every film that the query ``count_films.sql`` counted; returns a line saying so.

    Raises:
        AirflowFailException: with the numbers that differ.
    """
    (row,) = query_rows(AthenaHook(), count_query)
    return films_agree(read_report(tables.FILM_CATEGORY, job_run_id), films=int(row["films"] or 0))


def reconcile_lines(job_run_id: str, outlet_events: Any) -> str:
    """Prove that a run lost no landed line, and announce each month that it touched; returns a line with the numbers.

    Raises:
        AirflowFailException: with the numbers that do not add up.
        AirflowSkipException: the run touched no month, so there is nothing to announce.
    """
    report = read_report(tables.STREAMING_FILMS, job_run_id)
    sentence = lines_agree(report)
    if report["stale_months"]:
        log.warning("Rebuild these months too, which hold copies of what this run took: %s", report["stale_months"])
    months = [month for month in report["months"] if month != UNKNOWN_MONTH]
    if not months:
        raise AirflowSkipException(f"No month was touched: {sentence}")
    outlet_events[STREAMING_FILMS].add_partitions(months)
    return sentence


def films_agree(report: Report, films: int) -> str:
    """Every film of the clean zone is in film_category once; raises AirflowFailException otherwise."""
    if report["films"] != films or not films:
        raise AirflowFailException(
            f"film_category holds {report['films']} films (run {report['run_id']}), sakila.film {films}"
        )
    return f"{films} films, {report['categories']} categories, snapshot {report['snapshot_id']}"


def lines_agree(report: Report) -> str:
    """Every landed line is a row of streaming_films or of the quarantine; raises AirflowFailException otherwise."""
    landed, enriched, quarantined = (report[name] for name in ("landed", "enriched", "quarantined"))
    numbers = f"{landed} lines landed, {enriched} enriched, {quarantined} quarantined"
    if landed != enriched + quarantined:
        raise AirflowFailException(f"Run {report['run_id']} does not add up: {numbers}; months {report['months']}")
    return (
        f"{numbers} ({report['duplicates']} of them duplicates), {report['unknown_films']} of unknown films; "
        f"{report['objects']} objects; months {', '.join(report['months'])}"
    )
