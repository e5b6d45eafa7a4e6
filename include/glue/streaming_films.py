"""Glue job: landed events + curated.film_category -> curated.streaming_films and curated.streaming_events_quarantine.

Every landed line that is not blank becomes exactly one row in one of the two tables. An object is done when this is
recorded in curated.streaming_reconciliation.

Arguments: --landing_bucket, --curated_bucket; AWS adds --JOB_RUN_ID and others.
  --mode hourly            takes the objects that are not done, with names from the last day on
  --mode sweep             takes all objects that are not done, including late ones with older names
  --mode rebuild --month   takes every object of one month (yyyy-MM), and replaces exactly that month
  --max_bad_share          the report says so when a greater share of the run's lines is bad (default 0.05)
Report: s3://<curated>/runs/streaming_films/<run id>.json
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence

import boto3
from pyspark.sql import SparkSession

from datalake.months import Month
from datalake.run_reports import StreamingFilmsReport, write_report
from datalake_spark import job_log
from datalake_spark.enrichment import Enrichment, Report

JOB = "streaming_films"
# Fewer bad lines than this are never too many, as a share of few events says little.
MIN_BAD_LINES = 100
_log = logging.getLogger(JOB)


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The job's own arguments; those that AWS adds are ignored."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    for name in ("--landing_bucket", "--curated_bucket", "--JOB_RUN_ID"):
        parser.add_argument(name, required=True)
    parser.add_argument("--mode", required=True, choices=("hourly", "sweep", "rebuild"))
    parser.add_argument("--month")
    parser.add_argument("--max_bad_share", type=float, default=0.05)
    args, _ = parser.parse_known_args(arguments)
    if (args.mode == "rebuild") != (args.month is not None):
        parser.error("--month yyyy-MM goes with --mode rebuild, and only with it")
    if args.month:
        try:
            args.month = Month.parse(args.month)
        except ValueError as error:
            parser.error(f"--month {error}")
    return args


def too_many_bad(report: Report, max_bad_share: float) -> str | None:
    """Say how many lines are bad, and why, if they are too many; duplicates and superseded lines are not bad.

    A bad line of several JSON values counts as so many lines, as it would have been, had it been sent rightly. The run
    succeeds all the same, so that its lines are reconciled and reported: docs/decisions/0020.
    """
    if report.bad < MIN_BAD_LINES or report.bad <= max_bad_share * report.sent:
        return None
    reasons = ", ".join(f"{count:,} {reason}" for reason, count in report.bad_reasons.most_common())
    return f"{report.bad:,} of {report.sent:,} lines are bad, more than {max_bad_share:.1%}: {reasons}"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the job as Glue does."""
    job_log.begin(JOB, "datalake_spark")
    args = parse_arguments(arguments)
    s3 = boto3.client("s3")
    enrichment = Enrichment(
        SparkSession.builder.getOrCreate(), s3, args.landing_bucket, args.curated_bucket, args.JOB_RUN_ID
    )
    if args.mode == "rebuild":
        enrichment.rebuild(args.month)
    else:
        enrichment.take_new(everything=args.mode == "sweep")
    report = enrichment.report
    summary: StreamingFilmsReport = {
        "job": JOB,
        "run_id": args.JOB_RUN_ID,
        "mode": args.mode,
        **report.as_dict(),
        "too_many_bad": too_many_bad(report, args.max_bad_share),
    }
    write_report(s3, args.curated_bucket, summary)
    job_log.write(_log, summary)


if __name__ == "__main__":
    main()
