"""Reads the run reports of the Glue jobs, which are written after their commits, and compares them with the tables."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from typing import Any, Literal, get_args

from airflow.providers.amazon.aws.hooks.athena import AthenaHook
from airflow.providers.amazon.aws.hooks.s3 import S3Hook
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from datalake.months import UNKNOWN_MONTH
from datalake.run_reports import FilmCategoryReport, StreamingFilmsReport, report_key
from lake_airflow.assets import STREAMING_FILMS
from lake_airflow.athena import query_rows
from lake_airflow.defaults import LAKE
from lake_airflow.notes import give_note

log = logging.getLogger(__name__)

CountName = Literal["objects", "landed", "enriched", "quarantined", "duplicates", "unknown_films"]
COUNTS: tuple[CountName, ...] = get_args(CountName)


def read_report(job: str, run_id: str) -> Any:
    """What one run of a Glue job reported; ``job`` is the stem of its script. The caller knows the report's type."""
    return json.loads(S3Hook().read_key(report_key(job, run_id), LAKE.curated_bucket))


def reconcile_films(job_run_id: str, count_query: str) -> str:
    """Check that film_category holds every film that ``count_films.sql`` has counted; returns a summary.

    Raises:
        AirflowFailException: gives the numbers that differ.
    """
    (row,) = query_rows(AthenaHook(), count_query)
    return films_agree(read_report("film_category", job_run_id), films=int(row["films"] or 0))


def reconcile_lines(job_run_id: str, count_query: str, ti: Any, outlet_events: Any) -> str:
    """Check that a run lost no landed line, and emit an asset event for each month that it changed; returns a summary.

    ``count_query`` is an execution of ``reconciliation_of_run.sql``, which counts the rows of the run. The numbers also
    become the DAG run's note, even if they are wrong.

    Raises:
        AirflowFailException: gives the numbers that do not add up, or that differ from the job's report.
        AirflowSkipException: the run changed no month, so there is no event.
    """
    report: StreamingFilmsReport = read_report("streaming_films", job_run_id)
    (counted,) = query_rows(AthenaHook(), count_query)
    give_note(ti, summary(report))
    sentence = lines_agree(report, counted)
    if report["stale_months"]:
        log.warning("Rebuild these months, too, as they hold copies of this run's events: %s", report["stale_months"])
    months = [month for month in report["months"] if month != UNKNOWN_MONTH.key]
    if not months:
        raise AirflowSkipException(f"No month was changed: {sentence}")
    outlet_events[STREAMING_FILMS].add_partitions(months)
    return sentence


def judge_lines(job_run_id: str, ti: Any) -> str:
    """Fail when the job found too many bad lines; returns a summary. The run's note says it, too.

    Raises:
        AirflowFailException: says how many lines are bad, and why. All lines are committed and reconciled.
    """
    report: StreamingFilmsReport = read_report("streaming_films", job_run_id)
    verdict = report["too_many_bad"]
    if not verdict:
        return f"{report['quarantined']:,} of {report['landed']:,} lines are in quarantine: not too many"
    sentence = f"Too many bad lines: {verdict}. They are in curated.streaming_events_quarantine"
    give_note(ti, sentence)
    raise AirflowFailException(f"{sentence}. All good lines of {', '.join(report['months'])} are committed")


def tell_top_title(month: str, query: str, report_key: str, ti: Any) -> str:
    """Put the month, the file of its report, and the title on top with its number into the run's note; returns it.

    ``query`` is an execution of ``film_popularity_of_month.sql``, which lists the titles, the most streamed first.
    """
    titles = query_rows(AthenaHook(), query)
    top = (
        f"{titles[0]['title'] or 'unknown film'} with {int(titles[0]['streams'] or 0):,} streams" if titles else "none"
    )
    text = f"{month}: {len(titles):,} titles, on top {top}; s3://{LAKE.results_bucket}/{report_key}"
    give_note(ti, text)
    return text


def films_agree(report: FilmCategoryReport, films: int) -> str:
    """Raise AirflowFailException unless film_category holds each film of the clean zone once; returns a summary."""
    if report["films"] != films or not films:
        raise AirflowFailException(
            f"film_category holds {report['films']} films (run {report['run_id']}), sakila.film {films}"
        )
    return f"{films} films, {report['categories']} categories, snapshot {report['snapshot_id']}"


def lines_agree(report: StreamingFilmsReport, counted: Mapping[str, str | None]) -> str:
    """Raise AirflowFailException unless each landed line is a row, by the tables and by the job's report.

    ``counted`` is the row of ``reconciliation_of_run.sql``. Returns a summary.
    """
    run, sentence = report["run_id"], summary(report)
    if int(counted["torn"] or 0):
        raise AirflowFailException(
            f"Run {run}: {counted['torn']} objects do not add up, e.g. {counted['torn_example']}. {sentence}"
        )
    different = [
        f"{name} {report[name]}, in the tables {counted[name]}"
        for name in COUNTS
        if report[name] != int(counted[name] or 0)
    ]
    if different:
        raise AirflowFailException(f"Run {run} reported {'; '.join(different)}")
    return sentence


def summary(report: StreamingFilmsReport) -> str:
    """The numbers of a run of the enrichment, in one line."""
    if report["mode"] == "rebuild" and not report["objects"]:
        return "Nothing has landed in the month: there was nothing to rebuild"
    landed, enriched, quarantined, duplicates = (f"{report[name]:,}" for name in COUNTS[1:5])
    unknown = ", ".join(f"{name} ({count:,})" for name, count in report["unknown_fields"].items())
    vanished = ", ".join(report["vanished_fields"])
    drift = "; ".join([f"unknown fields {unknown}"] * bool(unknown) + [f"vanished fields {vanished}"] * bool(vanished))
    return (
        f"landed {landed} = enriched {enriched} + quarantined {quarantined} + duplicates {duplicates}; "
        f"unknown films: {report['unknown_films']:,}; drift: {drift or 'none'}; "
        f"{report['objects']:,} objects; months: {', '.join(report['months']) or 'none'}"
    )
