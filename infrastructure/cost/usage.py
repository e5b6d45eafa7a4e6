"""What the lake uses in a month under a load: events, objects, runs, bytes; without prices.

Every number that is not computed is a Fact with its source: measured here, stated by AWS, or assumed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

MEASURED, AWS, ASSUMED = "measured", "AWS", "assumed"
GIB, MIB = 2**30, 2**20
HOURS_A_MONTH = 730.0  # as AWS's pricing calculator counts


class Fact(NamedTuple):
    """A number, its unit, the kind of its source, and the source."""

    value: float
    unit: str
    known: str
    source: str


FACTS = {
    "event": Fact(193, "bytes an event", MEASURED, "our generator's line with event_id; 154 without it"),
    "row": Fact(30, "bytes a row", MEASURED, "streaming_films as zstd Parquet; two thirds of it is event_id"),
    "scan_category": Fact(0.51, "bytes a row", MEASURED, "column category_name, read by a report over all months"),
    "scan_state": Fact(0.76, "bytes a row", MEASURED, "column state, read by a report over all months"),
    "scan_month": Fact(1.95, "bytes a row", MEASURED, "title, category_name and eventtype, read by the month's report"),
    "enrich": Fact(28, "cpu s a million events", MEASURED, "docs/decisions/0008, one machine, warm"),
    "firehose_step": Fact(5120, "bytes", AWS, "Firehose pricing: each record is rounded up to 5 KB"),
    "glue_minimum": Fact(60, "s a run", AWS, "Glue pricing: a run is billed for a minute at least"),
    "crawl_minimum": Fact(600, "s a crawl", AWS, "Glue pricing: a crawl is billed for ten minutes at least"),
    "dpu_cores": Fact(4, "vCPU a DPU", AWS, "Glue pricing; a G.1X worker is one DPU, and one worker is the driver"),
    "athena_minimum": Fact(10, "MB a query", AWS, "Athena pricing"),
    "bucket_key": Fact(100, "S3 requests a KMS request", AWS, "S3 user guide: bucket keys save up to 99 %"),
    "long_poll": Fact(20, "s", AWS, "SQS developer guide: the longest a receive waits for a message"),
    "pollers": Fact(5, "receives at a time", ASSUMED, "Lambda polls an idle queue with five"),
    "crawler": Fact(2, "DPU", ASSUMED, "the example of Glue's pricing page; AWS does not let it be set"),
    "glue_start": Fact(90, "s a run", ASSUMED, "billed before and after the work: Spark, Python modules, commits"),
    "compare": Fact(1, "cpu s a million rows", ASSUMED, "ids of the 48 hours before, read by an hourly run"),
    "compact": Fact(5, "cpu s a million rows", ASSUMED, "maintain_lake: a fifth of enriching"),
    "run_put": Fact(30, "requests a run", ASSUMED, "files, manifests and metadata of three tables"),
    "run_get": Fact(200, "requests a run", ASSUMED, "manifests (18 at most: tests/glue/test_cost.py), ranges of files"),
    "query_get": Fact(300, "requests a query", ASSUMED, "150 files, two ranges each, between two compactions"),
    "run_log": Fact(1, "MB a run", ASSUMED, "continuous log of driver and executor"),
    "lambda": Fact(15, "s a CSV", ASSUMED, "the book's author saw 14 to 18 s"),
    "tables": Fact(16, "CSV a load", MEASURED, "Sakila's tables, a file each"),
    "loads": Fact(30, "loads a month", ASSUMED, "replicate_sakila runs daily"),
    "e_mails": Fact(10, "a month", ASSUMED, "alarms and their ends, one subscriber"),
    "secret_reads": Fact(1000, "a month", ASSUMED, "Airflow, DMS, the rotation"),
    "restarted": Fact(1 / 8, "of the time", AWS, "RDS starts a stopped database after 7 days; the next night stops it"),
    "snapshots": Fact(7, "days", MEASURED, "maintain_lake keeps a snapshot's files for so long"),
    "airflow_log": Fact(200, "MB a log group a month", ASSUMED, "MWAA's five log groups"),
    "metadata": Fact(10, "GB", AWS, "MWAA pricing: its examples' metadata database"),
}


def fact(name: str) -> float:
    """A fact's number."""
    return FACTS[name].value


@dataclass(frozen=True)
class Load:
    """How the lake is used.

    Attributes:
        events: events a second, day and night.
        month: the number of the lake's month; what landed in earlier months is still stored.
        hours: the hours of the month during which the lake exists.
        events_per_record: lines that producers join into one Firehose record.
        hours_between_runs: how often the enrichment runs, with the reports that follow it.
    """

    name: str
    events: float
    month: int = 1
    hours: float = HOURS_A_MONTH
    events_per_record: int = 1
    hours_between_runs: float = 1.0


IDLE = Load("idle", 0)
TEN = Load("10 events/s", 10)
THOUSAND = Load("1,000 events/s", 1000)
LOADS = (IDLE, TEN, THOUSAND)


@dataclass(frozen=True)
class Buffer:
    """Firehose writes an object after so many MiB or seconds, whichever comes first."""

    mib: float
    seconds: float


@dataclass(frozen=True)
class Usage:
    """What the lake uses in a month under a load."""

    load: Load
    buffer: Buffer

    @property
    def events(self) -> float:
        """Events of the month."""
        return self.load.events * self.load.hours * 3600

    @property
    def firehose_gb(self) -> float:
        """GB that Firehose bills: every record rounded up to 5 KB."""
        record = fact("event") * self.load.events_per_record
        billed = math.ceil(record / fact("firehose_step")) * fact("firehose_step")
        return self.events / self.load.events_per_record * billed / GIB

    @property
    def objects(self) -> float:
        """Objects that Firehose lands in the month."""
        if not self.load.events:
            return 0.0
        bytes_a_second = self.load.events * fact("event")
        seconds = min(self.buffer.seconds, self.buffer.mib * MIB / bytes_a_second)
        return self.load.hours * 3600 / seconds

    def stored(self, bytes_an_event: float, kept_months: float = math.inf) -> float:
        """GB-months: what earlier months left, and on average half of what this month adds."""
        added = self.events * bytes_an_event / GIB
        return added * min(self.load.month - 0.5, kept_months) * self.load.hours / HOURS_A_MONTH

    @property
    def runs(self) -> float:
        """Hourly runs that find something new; an hour without events ends before its job."""
        return self.load.hours / self.load.hours_between_runs if self.load.events else 0.0

    @property
    def crawls(self) -> float:
        """Crawls: one a day while events land."""
        return math.ceil(self.load.hours / 24) if self.load.events else 0.0

    @property
    def rebuilds(self) -> float:
        """Rebuilds of a month: the monthly close."""
        return self.load.hours / HOURS_A_MONTH

    @property
    def maintenances(self) -> float:
        """Runs of maintain_lake: each Sunday."""
        return self.load.hours / 168

    @property
    def enrich_cpu(self) -> float:
        """CPU seconds of an hourly run: for its events, and for the ids of the 48 hours before."""
        events = self.load.events * 3600
        return events * self.load.hours_between_runs / 1e6 * fact("enrich") + events * 48 / 1e6 * fact("compare")

    @property
    def rebuild_cpu(self) -> float:
        """CPU seconds of a month's rebuild."""
        return self.load.events * HOURS_A_MONTH * 3600 / 1e6 * fact("enrich")

    @property
    def maintain_cpu(self) -> float:
        """CPU seconds of a run of maintain_lake: on average half of the month's rows are rewritten."""
        return self.load.events * HOURS_A_MONTH * 3600 / 2 / 1e6 * fact("compact")

    @property
    def queries(self) -> dict[str, tuple[float, float]]:
        """The DAGs' queries: how many, and the bytes that each reads. Analysts' queries are not included."""
        month, all_months = self.events / 2, self.events * (self.load.month - 0.5)
        return {
            "find_new_objects": (self.load.hours, 0.0),
            "reconciliation": (self.runs + self.rebuilds, 0.0),
            "top categories": (self.runs, all_months * fact("scan_category")),
            "top states": (self.runs, all_months * fact("scan_state")),
            "film popularity": (self.runs, month * fact("scan_month")),
        }

    @property
    def polls(self) -> float:
        """Receive requests with which Lambda polls one queue."""
        return fact("pollers") * self.load.hours * 3600 / fact("long_poll")

    @property
    def csv_objects(self) -> float:
        """CSV objects of the month's full loads."""
        return fact("loads") * fact("tables")

    @property
    def requests(self) -> dict[str, tuple[float, float]]:
        """S3 requests by zone: (PUT and LIST, GET)."""
        reads = sum(count for count, _ in self.queries.values())
        commits = self.runs + self.rebuilds + self.maintenances + fact("loads")  # runs of jobs that write to Iceberg
        listings = 2 * self.load.hours  # the hourly check and its job, a page each; a day's objects are few pages
        return {
            "landing": (self.objects + self.csv_objects + listings, 2 * self.objects + self.csv_objects),
            "clean": (self.csv_objects, self.csv_objects + fact("loads") * 3),
            "curated": (commits * fact("run_put"), commits * fact("run_get") + 3 * self.runs * fact("query_get")),
            "results": (2 * reads, reads),
            "airflow": (0.0, 0.0),  # a few MB of DAGs
        }

    @property
    def kms_requests(self) -> float:
        """KMS requests: by S3 through bucket keys, and about one a minute by Firehose."""
        s3 = sum(put + get for put, get in self.requests.values())
        return s3 / fact("bucket_key") + (self.load.hours * 60 if self.load.events else 0.0) + fact("secret_reads")
