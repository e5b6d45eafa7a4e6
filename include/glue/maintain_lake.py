"""Glue job: maintains the Iceberg tables of the curated zone. No row changes; readers and writers can go on.

In each table of events small files are compacted and old snapshots expire, and with them time travel to these
snapshots. From every table the files that killed jobs left behind (orphans) are removed.

Arguments: --curated_bucket; AWS adds --JOB_RUN_ID and others.
  --snapshot_days    snapshots up to this age are kept (default 7): longer than a reader may take
  --keep_snapshots   this many snapshots are kept whatever their age (default 10)
  --orphan_days      orphans older than this are removed (default 3): longer than a job may take
Report: s3://<curated>/runs/maintain_lake/<run id>.json with files, bytes, snapshots, orphans and rows of each table.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import boto3
from pyspark.sql import SparkSession

from datalake.run_reports import MaintainLakeReport, write_report
from datalake.tables import FILM_CATEGORY, QUARANTINE, RECONCILIATION, STREAMING_FILMS
from datalake_spark import job_log
from datalake_spark.iceberg import identifier
from datalake_spark.table_maintenance import Retention, compact_before, maintain

JOB = "maintain_lake"
_log = logging.getLogger(JOB)


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The job's own arguments; those that AWS adds are ignored."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    for name in ("--curated_bucket", "--JOB_RUN_ID"):
        parser.add_argument(name, required=True)
    for name, default in (("--snapshot_days", 7), ("--keep_snapshots", 10), ("--orphan_days", 3)):
        parser.add_argument(name, type=int, default=default)
    args, _ = parser.parse_known_args(arguments)
    # Under a day, files that a job is still writing, or a reader still reading, would be removed.
    if min(args.snapshot_days, args.keep_snapshots, args.orphan_days) < 1:
        parser.error("--snapshot_days, --keep_snapshots and --orphan_days must be 1 or more")
    return args


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the job as Glue does."""
    job_log.begin(JOB, "datalake_spark")
    args = parse_arguments(arguments)
    spark, s3 = SparkSession.builder.getOrCreate(), boto3.client("s3")
    watch = job_log.Stopwatch(_log)
    keep = Retention(timedelta(days=args.snapshot_days), args.keep_snapshots, timedelta(days=args.orphan_days))
    tables = [
        table
        for table in (FILM_CATEGORY, STREAMING_FILMS, QUARANTINE, RECONCILIATION)
        if spark.catalog.tableExists(identifier(table))
    ]
    before = compact_before(spark, datetime.now(UTC)) if RECONCILIATION in tables else None
    done = []
    for table in tables:
        done.append(maintain(spark, s3, table, before, keep))
        watch.lap(table.full_name)
    report: MaintainLakeReport = {"job": JOB, "run_id": args.JOB_RUN_ID, "tables": done}
    write_report(s3, args.curated_bucket, report)
    job_log.write(_log, report)


if __name__ == "__main__":
    main()
