"""The whole recount: lists and fetches what landed, reads the tables, compares."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import islice

import boto3

from oracle.judge import LOOK_BACK, compare, expect
from oracle.lines import ANY_UUID, DAY, LANDED, REPAIRED, place
from oracle.model import Film, Verdict
from oracle.tables import Tables

ROOTS = (f"{LANDED}/", f"{REPAIRED}/")
# Once a day a run looks at everything that has landed: what it left out it has lost.
SWEPT = timedelta(hours=25)
_FETCHED_AT_ONCE = 16


class Recount:
    """The tables as they are when this is made, beside what has landed.

    Args:
        session: may list and read the bucket, read the tables in Glue and their files.
        landing_bucket: where events land.
        films: the catalogue that the events were enriched with. If not given, each row may be of any version of
            curated.film_category that is still kept: rows of an older one than the present are counted.
        running: whether events land meanwhile: an object of which no table has a row, and which landed less than 25
            hours before the newest commit, waits for its run; it is counted and not judged.

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
        self._swept = self._last_sweep() if running else None

    def months(self) -> list[str]:
        """Every arrival month that has an object or a row."""
        landed = {place(key).month for root in ROOTS for key, _ in self._listed(root)}
        return sorted(landed | self.tables.months())

    def verdict(
        self,
        month: str | None = None,
        ledger: Iterable[str] = (),
        progress: Callable[..., None] | None = None,
    ) -> Verdict:
        """Of one arrival month (yyyy-MM), or of everything.

        ``ledger``: acknowledged event ids; wherever they landed. ``progress`` is told of objects read, as ``completed``
        and ``total``.
        """
        waiting: set[str] = set()
        listed = self._landed(month)
        if self._swept:
            held = self.tables.keys({place(key).month for key, _ in listed})
            waiting = {key for key, modified in listed if modified > self._swept and key not in held}
        keys = [key for key, _ in listed if key not in waiting]
        expected = expect(self._fetched(keys, progress), self._films[0], self._films[1:])
        missing = self.missing(set(ledger) - expected.event_ids)
        found = compare(expected.of_month(month) if month else expected, self.tables.actual(month), missing)
        found.waiting = sum(month in {None, place(key).month} for key in waiting)
        return found

    def missing(self, event_ids: Iterable[str]) -> set[str]:
        """Those of the event ids that are in no row of streaming_films and in no landed object."""
        wanted = {event_id.lower() for event_id in event_ids}
        wanted -= self.tables.holds(sorted(wanted))
        if wanted:
            for _, body in self._fetched([key for root in ROOTS for key, _ in self._listed(root)], None):
                wanted.difference_update(found.decode().lower() for found in ANY_UUID.findall(body))
        return wanted

    def _last_sweep(self) -> datetime:
        """What landed before this has been looked at by some run."""
        newest = self.tables.newest_commit()
        return datetime.fromisoformat(newest) - SWEPT if newest else datetime.min.replace(tzinfo=UTC)

    def _landed(self, month: str | None) -> list[tuple[str, datetime]]:
        """Objects of events and repairs; with a month its own, and those whose name is at most 48 hours older."""
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
        """Key and time of landing of each object that is not empty."""
        for page in self._s3.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=prefix):
            yield from ((entry["Key"], entry["LastModified"]) for entry in page.get("Contents", []) if entry["Size"])

    def _fetched(self, keys: list[str], progress: Callable[..., None] | None) -> Iterator[tuple[str, bytes]]:
        """Keys with their objects' bytes, a few fetched at a time."""

        def get(key: str) -> tuple[str, bytes]:
            return key, self._s3.get_object(Bucket=self._bucket, Key=key)["Body"].read()

        rest, done = iter(keys), 0
        with ThreadPoolExecutor(_FETCHED_AT_ONCE) as pool:
            while some := list(islice(rest, _FETCHED_AT_ONCE)):
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
    """Hold the curated tables against all that has landed, or one arrival month of both: see ``Recount``."""
    return Recount(session, landing_bucket, films).verdict(month, ledger)
