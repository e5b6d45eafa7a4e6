"""The faults that the lake must survive, each once; tests name them, and docs/reliability.md is made from both.

A number is never used again: a fault that is dropped leaves a gap.
"""

from __future__ import annotations

from enum import Enum

import pytest


class Fault(Enum):
    """What goes wrong, and what must happen then. Nothing may be lost or doubled unless the second text says so."""

    DUPLICATE_NOTIFICATION = 1, "a duplicate S3 event", "the same bytes again, or nothing; never a second copy"
    OLD_NOTIFICATION_LAST = 2, "an old S3 event after a newer one", "the older sequencer is ignored; newest bytes win"
    LOST_NOTIFICATION = 3, "an S3 event that never comes", "the sweep of replicate_sakila finds the CSV and sends it"
    KILL_BEFORE_PUBLISH = 4, "the Lambda dies before it has published", "old rows stay readable; the retry completes"
    KILL_BEFORE_CATALOG = (
        5,
        "the Lambda dies between object and catalog",
        "the retry declares the table; no second copy",
    )
    RETRIES_EXHAUSTED = 6, "the Lambda fails every try", "dead-letter queue, alarm; a redrive brings the rows"
    SPARK_KILLED_WRITING = 7, "Spark is killed while it writes", "readers see the old month; the next run is exact"
    SPARK_KILLED_COMMITTING = 8, "Spark is killed between its commits", "as before, bad-only and copy-only objects too"
    SAME_MONTH_AGAIN = 9, "the same month three times", "one hash"
    TWO_WRITERS = 10, "hourly and rebuild commit at once", "one is refused, reads again, commits; no torn state"
    LANDING_MEANWHILE = 11, "objects land while a job runs", "the run keeps to its list; the next one takes the rest"
    LATE_EVENT = (
        12,
        "an event of last month arrives this month",
        "it stays in its arrival month with its own event_time",
    )
    MONTH_EDGE = 13, "clock skew and time zones at a month's edge", "event_time is UTC; the partition is the object's"
    IMPOSSIBLE_TIME = 14, "an event far in the future or the past", "quarantined, measured from its object's name"
    OUT_OF_ORDER = 15, "objects and lines in any order", "one hash"
    REDELIVERED_BATCH = (
        16,
        "Firehose delivers a batch twice",
        "one copy counts, whichever comes first; others are counted",
    )
    EQUAL_CONTENT = 17, "two real events with equal content", "both are kept"
    PARTIAL_FAILURE = 18, "put_record_batch fails in part", "only what failed is sent again, under the same ids"
    LOST_REPLY = 19, "Firehose accepts and the reply is lost", "sent again; the copy is counted as duplicate"
    S3_DOWN_A_DAY = 20, "S3 is down for more than 24 hours", "may lose: counted exactly, alarmed after 15 minutes"
    NO_DELIMITER = 21, "two records without a delimiter", "the line is quarantined, its neighbours are kept"
    MALFORMED_LINES = 22, "malformed, truncated, over-long, latin-1", "quarantined with file, line, reason, raw text"
    ODD_FILM_ID = 23, "unknown, missing or impossible film_id", "unknown: kept without film, counted; else quarantined"
    FILM_TWICE = 24, "a film in two categories", "the dimension is refused; events never fan out"
    SCHEMA_DRIFT = 25, "a column added, dropped, retyped, reordered", "named and stopped before anything is replaced"
    EMPTY_TABLE = 26, "an empty table, a header-only or empty file", "an empty typed table"
    ODD_VALUES = 27, "NULL, '', the text NULL, \\N, leading zeros", "every cell as in MySQL"
    ODD_BYTES = 28, "latin-1 bytes, an open quote, newlines", "kept when valid, else refused with file, line, column"
    LARGE_CSV = 29, "a CSV larger than the Lambda's memory", "streamed: memory stays bounded"
    DMS_PARTIAL = 30, "DMS fails midway or suspends a table", "the run fails and names the table"
    THROTTLING = 31, "S3 503s at 5, 20, 50 %, Glue throttling", "back-off, then success or a clean failure"
    DISK_FULL = 32, "a full disk", "fails without a trace; the old table stays readable"
    ATHENA_CUTOFF = 33, "a query over the workgroup's cut-off", "CANCELLED, never retried, nothing partial left"
    WORKER_KILLED = (
        34,
        "Airflow worker, scheduler, API server killed",
        "the job that runs is found again, not started twice",
    )
    ODD_OBJECT = 35, "an odd object under the crawled prefix", "no second table, the raw table keeps its rows"
    TASK_GIVES_UP = 36, "a task fails its last try, or is killed in it", "one notice: run, task, reason, what to do"
    TOO_MANY_BAD_LINES = (
        37,
        "most lines of a run are bad",
        "committed, reconciled, reported; then the run fails, also when it is cleared",
    )
    LATE_RUN = 38, "a run has not succeeded by its deadline", "one notice; the run goes on"

    def __init__(self, number: int, what: str, expected: str) -> None:
        self.number, self.what, self.expected = number, what, expected


def fault(which: Fault, *, kills_spark: bool = False) -> pytest.MarkDecorator:
    """Mark a test of a fault. It takes a ``seed``: ``--seeds n`` runs it n times, or n/5 if it kills Spark."""
    return pytest.mark.fault(which, kills_spark=kills_spark)
