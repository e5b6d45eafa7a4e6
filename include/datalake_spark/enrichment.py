"""The enrichment's order of steps: find objects, parse, settle, commit; a month at a time.

A step commits three times: quarantine, streaming_films, and then, counted from both as committed, one row an object to
streaming_reconciliation. An object is done when it has such a row; what a broken run leaves is taken again.

A month's new objects are added beside what the tables hold. The month is written anew from all its landed objects
instead where adding is not exact: a repair, a key inside the bounds of an existing data file (a late object, or what a
broken run left), a late copy that precedes one already counted; and where a run broke off while doing just that.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import TYPE_CHECKING

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as fn

from datalake.landing import (
    LandedObject,
    find_new,
    landed_months,
    month_objects,
    neighbours,
    parse_key,
)
from datalake.months import UNKNOWN_MONTH, Month
from datalake.tables import FILM_CATEGORY, QUARANTINE, RECONCILIATION, STREAMING_FILMS
from datalake_spark import iceberg, table_rows
from datalake_spark.committed_tables import CommittedTables, in_month, of_objects
from datalake_spark.landed_lines import landed_counts, lines_of, read_objects, read_raw
from datalake_spark.reconciliation import Unreconciled, count_rows, reconcile, record
from datalake_spark.redelivery import COPY, WINDOW_SECONDS, judge, shared_copies
from datalake_spark.report import Report, Tally

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

WINDOW = timedelta(seconds=WINDOW_SECONDS)
Keep = Callable[[DataFrame], DataFrame]
_log = logging.getLogger(__name__)


class UnusableFilms(Exception):
    """curated.film_category has no row, or a film twice."""


class LandingIncomplete(Exception):
    """Objects whose rows the tables hold are gone from the landing zone: a month written anew would lose those rows."""


@contextmanager
def keeping() -> Iterator[Keep]:
    """Frames that are worked out once and held in memory until the step ends, however it does."""
    with ExitStack() as kept:

        def keep(frame: DataFrame) -> DataFrame:
            kept.callback(frame.unpersist)
            return frame.persist()

        yield keep


class Enrichment:
    """One run of the job; ``report`` grows with every commit.

    Args:
        spark: with the Iceberg catalog ``glue_catalog``.
        s3: the driver's client; the workers make their own.
        landing_bucket: where the objects are.
        curated_bucket: where the tables are made, if they do not exist.
        run_id: kept with every commit.

    Raises:
        UnusableFilms: at once, before anything is read or written.
    """

    def __init__(
        self, spark: SparkSession, s3: S3Client, landing_bucket: str, curated_bucket: str, run_id: str
    ) -> None:
        self._spark, self._s3, self._bucket = spark, s3, landing_bucket
        spark.conf.set("spark.sql.session.timeZone", "UTC")  # times in names are UTC
        for table in (STREAMING_FILMS, QUARANTINE, RECONCILIATION, FILM_CATEGORY):
            iceberg.create_table(spark, table, curated_bucket)
        snapshot = iceberg.current_snapshot(spark, FILM_CATEGORY)
        films = iceberg.read_snapshot(spark, FILM_CATEGORY, snapshot).collect()
        if snapshot is None or not films or len(films) != len({film.film_id for film in films}):
            raise UnusableFilms(f"{FILM_CATEGORY.full_name} has {len(films)} rows, not one a film: run film_category")
        self._films = spark.createDataFrame(films, FILM_CATEGORY.spark_ddl())
        self.report = Report(film_category_snapshot=snapshot)
        self.run_id, self._mode = run_id, ""
        self._properties = {"run-id": run_id, "film-category-snapshot-id": str(snapshot)}
        self._doubtful: set[Month] = set()  # months that a twin changed unnoticed by Iceberg

    def take_new(self, everything: bool = False) -> None:
        """Commit every landed object that is not done; ``everything`` looks beyond the last day of names.

        Months that adding cannot do exactly are written anew, see the module's docstring and ``rebuild``.

        Raises:
            Unreconciled: the rows committed are not the lines landed; the objects of that step are not done.
            Conflict: other writers were in the way each time.
        """
        self._mode = "sweep" if everything else "hourly"
        iceberg.retried(lambda: self._take_new(everything))

    def rebuild(self, month: Month) -> None:
        """Replace one month in both tables by what its landed objects say, and nothing else.

        Raises:
            LandingIncomplete: some of its objects are gone.
            Unreconciled, Conflict: as ``take_new``.
        """
        self._mode = "rebuild"
        iceberg.retried(lambda: self._rebuild(month))

    def _take_new(self, everything: bool) -> None:
        held = self._held()
        newest = None if everything else held.newest(landed_months(self._s3, self._bucket))
        listed = find_new(self._s3, self._bucket, (), newest, datetime.now(UTC))
        done = held.done(listed)
        new = sorted((o for o in listed if o.key not in done), key=lambda landed: landed.month)
        fresh = {landed.key for landed in new}
        # A repair bears the month and time of what it repairs.
        repaired = {(landed.month, landed.time) for landed in listed if landed.is_repair}
        anew: set[Month] = set()
        for month, group in groupby(new, key=lambda landed: landed.month):
            objects = list(group)
            if month in anew:
                continue
            with_repair = any((landed.month, landed.time) in repaired for landed in objects)
            if with_repair or held.surrounds(month, objects) or not self._add(month, objects, held, anew, fresh):
                self._write_anew(month, fresh, anew)
        for month in sorted((self._doubtful | held.interrupted()) - anew):
            if month not in anew:
                self._write_anew(month, fresh, anew)

    def _rebuild(self, month: Month) -> None:
        held = self._held()
        objects = month_objects(self._s3, self._bucket, month)
        fresh = {landed.key for landed in objects} - held.done(objects)
        self._write_anew(month, fresh, None)

    def _held(self) -> CommittedTables:
        held = CommittedTables(self._spark)
        self.report.snapshot_id = held.snapshots[STREAMING_FILMS.name]
        return held

    def _add(
        self,
        month: Month,
        objects: Sequence[LandedObject],
        held: CommittedTables,
        anew: set[Month],
        fresh: Collection[str],
    ) -> bool:
        """Commit these objects beside the month's rows; False, and nothing done, if it must be written anew."""
        with keeping() as keep:
            landed = keep(read_objects(self._spark, self._bucket, objects, fresh))
            # What this run has committed since is compared with, too; the commit is still validated from ``held`` on.
            copies = (CommittedTables(self._spark) if self.report.months else held).copies(objects, WINDOW)
            settled, displaced = self._settle(lines_of(landed), copies, keep)
            if month in displaced:
                return False
            # Before the older copies are committed: should the run break off here, the next one still finds them new.
            for other in sorted(displaced - anew):
                self._write_anew(other, fresh, anew)
            conditions = {
                table.name: in_month(month) & of_objects(landed.key for landed in objects)
                if held.has_files(table, month)
                else in_month(month)
                for table in (STREAMING_FILMS, QUARANTINE)
            }
            self._commit(month, objects, settled, landed_counts(landed), held, conditions, self._properties)
        return True

    def _write_anew(self, month: Month, fresh: Collection[str], anew: set[Month] | None) -> None:
        """Replace a month; and first those months, unless in ``anew`` already, whose counted copies are none any more.

        With ``anew`` None no other month is touched: they are reported.
        """
        held = self._held()
        objects = month_objects(self._s3, self._bucket, month)
        gone = held.month_keys(month) - {landed.key for landed in objects}
        if gone:
            raise LandingIncomplete(
                f"{month}: {len(gone)} objects of the tables are not in {self._bucket} any more, e.g. {min(gone)}"
            )
        _log.info("%s is written anew from %d objects", month, len(objects))
        with keeping() as keep:
            landed = keep(read_objects(self._spark, self._bucket, objects, fresh))
            lines = _repaired(objects, landed)
            settled, displaced = self._settle(lines, self._neighbour_copies(month, objects, fresh), keep)
            displaced.discard(month)
            if anew is None:
                self.report.stale_months |= {other.key for other in displaced}
            else:
                anew.add(month)
                for other in sorted(displaced - anew):
                    self._write_anew(other, fresh, anew)
            conditions = dict.fromkeys((STREAMING_FILMS.name, QUARANTINE.name), in_month(month))
            properties = self._properties | {"replaced-month": month.key, "step-id": uuid.uuid4().hex}
            self._commit(month, objects, settled, landed_counts(landed), held, conditions, properties)
        self._doubtful.discard(month)

    def _neighbour_copies(
        self, month: Month, objects: Sequence[LandedObject], fresh: Collection[str]
    ) -> DataFrame | None:
        """Copies from landed objects of other months, within 48 hours of these; None when there is no such object."""
        times = [landed.time for landed in objects if landed.time]
        if not times:
            return None
        around = list(neighbours(self._s3, self._bucket, month, min(times) - WINDOW, max(times) + WINDOW))
        if not around:
            return None
        lines = _repaired(around, read_objects(self._spark, self._bucket, around, fresh))
        lines = lines.where("reason IS NULL AND event_id IS NOT NULL")
        return lines.withColumn("mine", fn.lit(False)).select(*COPY)

    def _settle(self, lines: DataFrame, others: DataFrame | None, keep: Keep) -> tuple[DataFrame, set[Month]]:
        """Lines with the reasons that other copies give them, and the months in which a copy counts no longer."""
        mine = lines.where("reason IS NULL").withColumn("mine", fn.lit(True)).select(*COPY)
        judged = keep(judge(shared_copies(mine, others)).where("verdict IS NOT NULL OR displaced"))
        verdicts = judged.where("mine AND verdict IS NOT NULL").select(*table_rows.LINE, "verdict")
        found = judged.selectExpr(
            "count_if(mine AND verdict IS NOT NULL) AS verdicts",
            "collect_set(CASE WHEN displaced AND NOT mine THEN source_file END) AS displaced",
        ).collect()[0]
        displaced = {parse_key(key).month for key in found.displaced}
        return (table_rows.apply_verdicts(lines, verdicts) if found.verdicts else lines), displaced

    def _commit(
        self,
        month: Month,
        objects: Sequence[LandedObject],
        lines: DataFrame,
        landed: Mapping[str, int],
        held: CommittedTables,
        conditions: Mapping[str, Column],
        properties: Mapping[str, str],
    ) -> None:
        """Commit a step to the two tables, then say so in the third: its objects are done.

        Both tables get their commit even if one has no row to add: so twins, whatever they make of the same lines,
        refuse each other.

        Raises:
            Unreconciled: rows and landed lines do not agree, and no twin was at work.
            Conflict: a twin was faster.
        """
        fields = table_rows.count_fields(lines).collect()[0]
        snapshots = dict(held.snapshots)
        if fields.lines or any(held.has_files(table, month) for table in (QUARANTINE, STREAMING_FILMS)):
            quarantine, enriched = self._quarantine(month, objects, lines), table_rows.enrich(lines, self._films, month)
            for table, rows in ((QUARANTINE, quarantine), (STREAMING_FILMS, enriched)):
                condition, snapshot = conditions[table.name], held.snapshots[table.name]
                snapshots[table.name] = iceberg.replace_rows(rows, table, condition, snapshot, properties)
            self.report.snapshot_id = snapshots[STREAMING_FILMS.name]
        committed_at = datetime.now(UTC)
        # The quarantine as it is now: a twin may have put there what this step has counted as good.
        latest = iceberg.current_snapshot(self._spark, QUARANTINE)
        counted = count_rows(self._spark, snapshots | {QUARANTINE.name: latest}, conditions)
        try:
            tallies = reconcile(objects, landed, counted)
        except Unreconciled as unreconciled:
            if latest == snapshots[QUARANTINE.name]:
                raise
            self._doubtful.add(month)
            raise iceberg.Conflict(f"another run committed the same objects: {unreconciled}") from unreconciled
        record(self._spark, objects, tallies, self.run_id, self._mode, committed_at, properties)
        self._count(month, tallies.values())
        self.report.events += fields.events
        self.report.with_event_id += fields.with_event_id
        if fields.with_unknown_fields:
            for row in table_rows.count_unknown_fields(lines).collect():
                self.report.unknown_fields[row.field] += row["count"]

    def _quarantine(self, month: Month, objects: Sequence[LandedObject], lines: DataFrame) -> DataFrame:
        """The month's quarantine; the text of lines that are bad only beside others is fetched again."""
        late = lines.where("reason IS NOT NULL AND raw IS NULL")
        keys = {row.source_file for row in late.select("source_file").distinct().collect()}
        bad = lines.where("raw IS NOT NULL")
        if keys:
            landed = read_raw(self._spark, self._bucket, [landed for landed in objects if landed.key in keys])
            bad = bad.union(table_rows.with_raw(late, landed))
        return table_rows.quarantine(bad, month)

    def _count(self, month: Month, tallies: Collection[Tally]) -> None:
        self.report.add(tallies)
        if tallies and month != UNKNOWN_MONTH:
            self.report.months.add(month.key)


def _repaired(objects: Sequence[LandedObject], landed: DataFrame) -> DataFrame:
    """The lines of these objects (``OBJECTS``), judged by the repairs among them."""
    lines = lines_of(landed)
    return table_rows.apply_repairs(lines) if any(one.is_repair for one in objects) else lines
