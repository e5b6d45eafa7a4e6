"""What a run of a Glue job did, as one JSON object that the job writes after its commits and the DAGs read."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, TypedDict

from datalake.names import RUNS_PREFIX

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


class RunReport(TypedDict):
    """What every report holds."""

    job: str  # stem of the job's script
    run_id: str  # of the Glue job run


class FilmCategoryReport(RunReport):
    """A run of film_category."""

    films: int
    categories: int
    snapshot_id: int  # of curated.film_category


class EnrichmentCounts(TypedDict):
    """What a run of streaming_films committed. Landed lines = enriched + quarantined + duplicates."""

    months: list[str]  # arrival months to which the run has committed, yyyy-MM
    objects: int
    landed: int
    enriched: int
    quarantined: int  # without the duplicates
    duplicates: int
    unknown_films: int  # enriched rows whose film the catalogue does not know
    reasons: dict[str, int]  # rows in quarantine by reason
    unknown_fields: dict[str, int]  # events by field that they have and the lake does not know
    vanished_fields: list[str]  # optional fields that no event has
    stale_months: list[str]  # months that hold copies of what this run took: to be rebuilt
    film_category_snapshot: int
    snapshot_id: int | None  # of curated.streaming_films


class StreamingFilmsReport(RunReport, EnrichmentCounts):
    """A run of streaming_films."""

    mode: str  # hourly, sweep or rebuild
    too_many_bad: str | None  # how many lines are bad, and why, if a person should look at the quarantine


class TableSize(TypedDict):
    """The data files of a table's current snapshot, and how many snapshots there are."""

    files: int
    bytes: int  # of the data files
    snapshots: int


class ReplacingCommit(TypedDict):
    """A commit that replaced data files by others with the same rows."""

    snapshot_id: int
    rows_before: int
    rows_after: int


class TableMaintenance(TypedDict):
    """What a run of maintain_lake did to one table."""

    table: str
    before: TableSize
    after: TableSize
    orphans_found: int
    orphans_removed: int
    commits: list[ReplacingCommit]


class MaintainLakeReport(RunReport):
    """A run of maintain_lake."""

    tables: list[TableMaintenance]


def report_key(job: str, run_id: str) -> str:
    """Key of a run's report in the curated bucket; ``job`` is the stem of the job's script."""
    return f"{RUNS_PREFIX}{job}/{run_id}.json"


def write_report(s3: S3Client, bucket: str, report: RunReport) -> None:
    """Write a run's report into the curated bucket."""
    body = json.dumps(report, indent=2).encode()
    s3.put_object(
        Bucket=bucket, Key=report_key(report["job"], report["run_id"]), Body=body, ContentType="application/json"
    )
