"""Landed event objects: what their keys say, and which of them are new. Shared by the Glue job and the DAG.

Firehose names an object ``<prefix><stream>-<version>-YYYY-MM-DD-HH-MM-SS-<uuid>`` (Firehose Developer Guide, "Amazon S3
object name format"; UTC) and delivers at least once, retrying for up to 24 hours. The prefix here is
``streaming/yyyy/MM/``, the month in which the object's oldest record arrived.

A repair is an object under ``streaming-repaired/yyyy/MM/`` whose lines supersede lines of a landed object: the month
and time in its key are those of that object, only the uuid is its own.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import TYPE_CHECKING

from datalake.months import UNKNOWN_MONTH, Month, months_between
from datalake.names import REPAIRED_PREFIX, STREAMING_PREFIX

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

# Firehose retries for 24 hours, so an object may appear that long after one with a later name.
LOOK_BACK = timedelta(hours=24)
# Firehose takes folder and name from different moments of one delivery, which cannot be further apart than this.
FOLDER_TOLERANCE = timedelta(hours=48)

_NAME_TIME = "%Y-%m-%d-%H-%M-%S"
_FOLDER = re.compile(rf"(?:{STREAMING_PREFIX}|{REPAIRED_PREFIX})([0-9]{{4}})/(0[1-9]|1[0-2])/")
_NAME = re.compile(
    r"(?P<stream>[^/]+-[0-9]+-)(?P<time>[0-9]{4}(?:-[0-9]{2}){5})-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
)


@dataclass(frozen=True)
class LandedObject:
    """One landed object, as its key describes it."""

    key: str
    month: Month  # of the folder
    series: str  # the key up to its time, the same for all of a stream's objects of a month; without a time, the key
    time: datetime | None  # UTC; None when the name is not one of Firehose's, or contradicts its folder
    size: int = 0  # bytes

    @property
    def is_repair(self) -> bool:
        """Whether its lines supersede others."""
        return self.key.startswith(REPAIRED_PREFIX)


def parse_key(key: str, size: int = 0) -> LandedObject:
    """Read month and time from a key. It never fails: an odd key has no time, or UNKNOWN_MONTH."""
    folder = _FOLDER.match(key)
    if not folder:
        return LandedObject(key, UNKNOWN_MONTH, key, None, size)
    month = Month(*folder.groups())
    name = _NAME.fullmatch(key, folder.end())
    time = _name_time(name["time"], month) if name else None
    series = key[: name.start("time")] if name and time else key
    return LandedObject(key, month, series, time, size)


def _name_time(text: str, month: Month) -> datetime | None:
    """The time in a name; None if it is not a valid time or lies far outside the folder's month."""
    try:
        time = datetime.strptime(text, _NAME_TIME).replace(tzinfo=UTC)
        near = {Month.of_time(time + shift) for shift in (-FOLDER_TOLERANCE, timedelta(0), FOLDER_TOLERANCE)}
    except (ValueError, OverflowError):
        return None
    return time if month in near else None


def key_at(series: str, time: datetime) -> str:
    """The smallest key that an object of this series and time can have."""
    return series + time.strftime(_NAME_TIME)


def key_span(series: str) -> tuple[str, str]:
    """Two keys such that every key of the series that holds a time lies in [first, second)."""
    return series + "0", series + ":"  # the character after 9


def watermark(newest_done: str | None, now: datetime) -> datetime | None:
    """The earliest time in a name from which the hourly run lists objects; None: it lists all.

    ``newest_done`` is the key with the latest time among the objects that are done. A name with a time in the future
    does not move the watermark beyond ``now``.
    """
    time = parse_key(newest_done).time if newest_done else None
    return min(time, now.replace(microsecond=0)) - LOOK_BACK if time else None


def months_of_names(since: datetime, until: datetime) -> list[Month]:
    """Every month in whose folder an object may lie whose name's time is in [since, until], in order."""
    return months_between(since - FOLDER_TOLERANCE, until + FOLDER_TOLERANCE)


def landed_objects(
    s3: S3Client, bucket: str, prefix: str, since: datetime | None = None, until: datetime | None = None
) -> Iterator[LandedObject]:
    """List the objects under ``prefix``, in key order; empty ones hold no line and are left out.

    Names from before ``since`` or after ``until`` (whole seconds, both inclusive) are skipped. This costs one more
    request for each ``streaming/yyyy/MM/<stream>-<version>-``, however many such objects it holds. Objects without a
    time in their name are listed in any case, from the month of ``since`` on.
    """
    start_after = ""
    if since:
        start_after = f"{prefix.partition('/')[0]}/{Month.of_time(since - FOLDER_TOLERANCE).folder.rstrip('/')}"
    while True:
        page = s3.list_objects_v2(Bucket=bucket, Prefix=prefix, StartAfter=start_after)
        for entry in page.get("Contents", []):
            landed = parse_key(entry["Key"], entry["Size"])
            if since and landed.time and landed.time < since:
                start_after = key_at(landed.series, since)
                break
            if until and landed.time and landed.time > until:
                start_after = key_span(landed.series)[1]
                break
            start_after = landed.key
            if landed.size:
                yield landed
        else:
            if not page.get("IsTruncated"):
                return


def landed_months(s3: S3Client, bucket: str) -> Iterator[Month]:
    """The months in whose folders objects have landed, latest first; one request a year."""
    for year in reversed(_folders(s3, bucket, STREAMING_PREFIX)):
        for folder in reversed(_folders(s3, bucket, year)):
            if match := _FOLDER.fullmatch(folder):
                yield Month(*match.groups())


def _folders(s3: S3Client, bucket: str, prefix: str) -> list[str]:
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix, Delimiter="/")
    return [folder["Prefix"] for page in pages for folder in page.get("CommonPrefixes", [])]


def month_objects(s3: S3Client, bucket: str, month: Month) -> list[LandedObject]:
    """Every landed and every repaired object of one month, which may be UNKNOWN_MONTH."""
    listed = (landed_objects(s3, bucket, root + month.folder) for root in (STREAMING_PREFIX, REPAIRED_PREFIX))
    return [landed for landed in chain.from_iterable(listed) if landed.month == month]


def neighbours(s3: S3Client, bucket: str, month: Month, since: datetime, until: datetime) -> Iterator[LandedObject]:
    """Landed and repaired objects of other months than ``month`` whose name's time is in [since, until]."""
    for other in months_of_names(since, until):
        if other != month:
            for root in (STREAMING_PREFIX, REPAIRED_PREFIX):
                listed = landed_objects(s3, bucket, root + other.folder, since, until)
                yield from (landed for landed in listed if landed.time)


def find_new(
    s3: S3Client, bucket: str, done: Collection[str], newest_done: str | None, now: datetime | None = None
) -> list[LandedObject]:
    """Objects of the landing bucket that are not ``done``, in key order: see ``new_objects``."""
    since = watermark(newest_done, now or datetime.now(UTC))
    landed = [
        *landed_objects(s3, bucket, REPAIRED_PREFIX),  # few, with times of old objects: no watermark
        *landed_objects(s3, bucket, STREAMING_PREFIX, since),
    ]
    return [o for o in landed if o.key not in done]


def new_objects(
    s3: S3Client, bucket: str, done: Collection[str], newest_done: str | None, now: datetime | None = None
) -> list[str]:
    """Keys of landed objects and repairs that the next hourly run would take.

    ``done`` are keys with a row in ``curated.streaming_reconciliation``. It must hold those that are not before
    ``watermark(newest_done, now)``, those without a time, and the repairs; it may hold others.
    ``newest_done`` is the key with the latest time among all that are done; with None the whole bucket is listed.
    Objects that appear more than 24 hours late are found by the sweep (``newest_done=None``) or by a rebuild.
    """
    return [landed.key for landed in find_new(s3, bucket, done, newest_done, now)]
