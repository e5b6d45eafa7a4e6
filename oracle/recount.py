"""The recount: lists and fetches what landed, reads the tables, compares them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import islice

import boto3

from oracle.expectation import LOOK_BACK, compare, expect
from oracle.lines import ANY_UUID, DAY, LANDED, REPAIRED, place
from oracle.model import Film, Verdict
from oracle.tables import Tables

ROOTS = (f"{LANDED}/", f"{REPAIRED}/")
# Once a day a run lists everything that has landed: an older object that no run has processed is lost.
SWEEP_INTERVAL = timedelta(hours=25)
_CONCURRENT_FETCHES = 16


class Recount:
    """Compares the tables, as they are when this object is created, with what has landed.

    Args:
        session: may list and read the bucket, read the tables in Glue and their files.
        landing_bucket: where events land.
        films: the film_category with which events were enriched. By default a row may have any version of
            curated.film_category that still exists; rows with an older version than the current one are counted.
        running: whether events land meanwhile. Then an object without a row that landed less than 25 hours before the
            newest commit, or after it, waits for its run: it is counted, and not a finding.

    Raises botocore's ClientError or duckdb.Error when something cannot be read.
    """

    def __init__(
        self,
        session: boto3.Session,
        landing_bucket: str,
        films: Mapping[int, Film] | None = None,
        running: bool = False,
    ) -> None:
        self.tables = Tables(session)
        self._s3, self._bucket = session.client("s3"), landing_bucket
        self._films = self.tables.catalogues() if films is None else [films]
        self._last_swept = self._last_sweep() if running else None

    def months(self) -> list[str]:
        """All arrival months with an object or a row."""
        landed = {place(key).month for root in ROOTS for key, _ in self._listed(root)}
        return sorted(landed | self.tables.months())

    def verdict(
        self,
        month: str | None = None,
        ledger: Iterable[str] = (),
        progress: Callable[..., None] | None = None,
    ) -> Verdict:
        """Compare one arrival month (yyyy-MM), or everything.

        ``ledger``: acknowledged event ids, of any month. ``progress`` is called with the number of objects read, as
        ``completed`` and ``total``.
        """
        waiting: set[str] = set()
        listed = self._landed(month)
        if self._last_swept:
            held = self.tables.keys({place(key).month for key, _ in listed})
            waiting = {key for key, modified in listed if modified > self._last_swept and key not in held}
        keys = [key for key, _ in listed if key not in waiting]
        expected = expect(self._fetched(keys, progress), self._films[0], self._films[1:])
        missing = self.missing(set(ledger) - expected.event_ids)
        found = compare(expected.of_month(month) if month else expected, self.tables.actual(month), missing)
        found.waiting = sum(month in {None, place(key).month} for key in waiting)
        return found

    def missing(self, event_ids: Iterable[str]) -> set[str]:
        """The event ids that are in no row of streaming_films and in no landed object."""
        wanted = {event_id.lower() for event_id in event_ids}
        wanted -= self.tables.holds(sorted(wanted))
        if wanted:
            for _, body in self._fetched([key for root in ROOTS for key, _ in self._listed(root)], None):
                wanted.difference_update(found.decode().lower() for found in ANY_UUID.findall(body))
        return wanted

    def _last_sweep(self) -> datetime:
        """Objects that landed before this time have been listed by some run."""
        newest = self.tables.newest_commit()
        return datetime.fromisoformat(newest) - SWEEP_INTERVAL if newest else datetime.min.replace(tzinfo=UTC)

    def _landed(self, month: str | None) -> list[tuple[str, datetime]]:
        """List objects of events and repairs, or those of a month and of the 48 hours before it."""
        if month is None or "unknown" in month:
            listed = (entry for root in ROOTS for entry in self._listed(root))
            return [entry for entry in listed if month in {None, place(entry[0]).month}]
        own = list(self._listed_month(month))
        times = [time for key, _ in own if (time := place(key).time) is not None]
        if not times:
            return own
        since, until = min(times) - LOOK_BACK, max(times)
        days = range(since - 2 * DAY, until + 3 * DAY, DAY)
        others = {f"{datetime.fromtimestamp(second, UTC):%Y-%m}" for second in days} - {month}
        around = (entry for other in sorted(others) for entry in self._listed_month(other))
        return own + [entry for entry in around if since <= (place(entry[0]).time or -1) <= until]

    def _listed_month(self, month: str) -> Iterator[tuple[str, datetime]]:
        for root in ROOTS:
            yield from self._listed(f"{root}{month.replace('-', '/')}/")

    def _listed(self, prefix: str) -> Iterator[tuple[str, datetime]]:
        """Keys of objects that are not empty, and when they landed."""
        for page in self._s3.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=prefix):
            yield from ((entry["Key"], entry["LastModified"]) for entry in page.get("Contents", []) if entry["Size"])

    def _fetched(self, keys: list[str], progress: Callable[..., None] | None) -> Iterator[tuple[str, bytes]]:
        """Fetch objects, several at a time; yields keys and bytes."""

        def get(key: str) -> tuple[str, bytes]:
            return key, self._s3.get_object(Bucket=self._bucket, Key=key)["Body"].read()

        rest, done = iter(keys), 0
        with ThreadPoolExecutor(_CONCURRENT_FETCHES) as pool:
            while some := list(islice(rest, _CONCURRENT_FETCHES)):
                yield from pool.map(get, some)
                done += len(some)
                if progress:
                    progress(completed=done, total=len(keys))


def verdict(
    session: boto3.Session,
    landing_bucket: str,
    *,
    films: Mapping[int, Film] | None = None,
    ledger: Iterable[str] = (),
    month: str | None = None,
) -> Verdict:
    """Compare the curated tables with everything that has landed, or one arrival month: see ``Recount``."""
    return Recount(session, landing_bucket, films).verdict(month, ledger)
