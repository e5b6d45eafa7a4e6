"""The order of steps of the enrichment: find objects, parse their lines, judge them, commit; one month at a time.

A step commits three times: to the quarantine, to streaming_films, and then, counted from both as committed, one row for
each object to streaming_reconciliation. An object is done when it has such a row. What an interrupted run has left
undone is taken again by the next run.

A month's new objects are added beside the rows that the tables hold. Where adding would not be exact, the month is
rewritten from all its landed objects instead: for a repair; for a key inside the bounds of an existing data file (of a
late object, or left by an interrupted run); for a late copy of an event that precedes a copy that already counts; and
after a run that was interrupted while it rewrote the month.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import TYPE_CHECKING

from pyspark.sql import Column, DataFrame, Row, SparkSession
from pyspark.sql import functions as fn

from datalake.landing import LandedObject, find_new, landed_months, month_objects, neighbours, parse_key
from datalake.months import UNKNOWN_MONTH, Month
from datalake.tables import FILM_CATEGORY, QUARANTINE, RECONCILIATION, STREAMING_FILMS
from datalake_spark import iceberg, table_rows
from datalake_spark.caching import Cache, caching
from datalake_spark.committed_tables import CommittedTables, in_month, of_objects
from datalake_spark.job_log import Stopwatch
from datalake_spark.landed_lines import landed_counts, lines_of, read_objects, read_raw
from datalake_spark.reconciliation import Unreconciled, count_rows, reconcile, record
from datalake_spark.redelivery import COPY, WINDOW_SECONDS, judge, shared_copies
from datalake_spark.report import Report, Tally

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

WINDOW = timedelta(seconds=WINDOW_SECONDS)
_log = logging.getLogger(__name__)


class UnusableFilms(Exception):
    """curated.film_category has no row, or has a film twice."""


class LandingIncomplete(Exception):
    """Objects whose rows the tables hold are gone from the landing zone: rewriting the month would lose those rows."""


class Enrichment:
    """One run of the Glue job; every commit adds to ``report``.

    Args:
        spark: a session with the Iceberg catalog ``glue_catalog``.
        s3: the driver's client; the workers make their own.
        landing_bucket: where the objects are.
        curated_bucket: where the tables are created if they do not exist.
        run_id: stored with every commit.

    Raises:
        UnusableFilms: before any event is read or written.
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
        self._watch = Stopwatch(_log)
        self._contested: set[Month] = set()  # months that a concurrent run changed without Iceberg noticing

    def take_new(self, everything: bool = False) -> None:
        """Commit every landed object that is not done; with ``everything`` also those with names older than a day.

        Months to which objects cannot be added exactly are rewritten; see the module's docstring.

        Raises:
            Unreconciled: the committed rows do not match the landed lines; the objects of that step are not done.
            Conflict: other writers interfered with each attempt.
        """
        self._mode = "sweep" if everything else "hourly"
        iceberg.retried(lambda: self._take_new(everything))

    def rebuild(self, month: Month) -> None:
        """Replace one month in both tables by the rows of its landed objects; other months stay as they are.

        Raises:
            LandingIncomplete: some of its objects are gone.
            Unreconciled, Conflict: as in ``take_new``.
        """
        self._mode = "rebuild"
        iceberg.retried(lambda: self._rebuild(month))

    def _take_new(self, everything: bool) -> None:
        committed = self._committed_tables()
        newest = None if everything else committed.newest(landed_months(self._s3, self._bucket))
        listed = find_new(self._s3, self._bucket, (), newest, datetime.now(UTC))
        done = committed.done(listed)
        new = sorted((o for o in listed if o.key not in done), key=lambda landed: landed.month)
        self._watch.lap(f"{len(new)} of {len(listed)} objects listed are new")
        fresh = {landed.key for landed in new}
        # A repair has the month and time of the object that it repairs.
        repaired = {(landed.month, landed.time) for landed in listed if landed.is_repair}
        rewritten: set[Month] = set()
        for month, group in groupby(new, key=lambda landed: landed.month):
            objects = list(group)
            if month in rewritten:
                continue
            with_repair = any((landed.month, landed.time) in repaired for landed in objects)
            can_add = not with_repair and not committed.surrounds(month, objects)
            if not (can_add and self._add(month, objects, committed, rewritten, fresh)):
                self._rewrite_month(month, fresh, rewritten)
        for month in sorted((self._contested | committed.interrupted()) - rewritten):
            if month not in rewritten:
                self._rewrite_month(month, fresh, rewritten)

    def _rebuild(self, month: Month) -> None:
        committed = self._committed_tables()
        objects = month_objects(self._s3, self._bucket, month)
        fresh = {landed.key for landed in objects} - committed.done(objects)
        self._rewrite_month(month, fresh, None)

    def _committed_tables(self) -> CommittedTables:
        committed = CommittedTables(self._spark)
        self.report.snapshot_id = committed.snapshots[STREAMING_FILMS.name]
        return committed

    def _add(
        self,
        month: Month,
        objects: Sequence[LandedObject],
        committed: CommittedTables,
        rewritten: set[Month],
        fresh: Collection[str],
    ) -> bool:
        """Commit these objects beside the month's rows; return False, doing nothing, if it must be rewritten."""
        with caching() as cache:
            landed = cache(read_objects(self._spark, self._bucket, objects, fresh))
            # Compare also with what this run has committed by now; the commit is validated against ``committed``.
            copies = (CommittedTables(self._spark) if self.report.months else committed).copies(objects, WINDOW)
            settled, displaced = self._judge_copies(lines_of(landed), copies, cache)
            self._watch.lap(f"{month}: {len(objects)} objects read and judged")
            if month in displaced:
                return False
            # This comes before the older copies are committed: if the run is interrupted here, the next one finds
            # those still new, and displaces the same copies again.
            for other in sorted(displaced - rewritten):
                self._rewrite_month(other, fresh, rewritten)
            conditions = {
                table.name: in_month(month) & of_objects(landed.key for landed in objects)
                if committed.has_files(table, month)
                else in_month(month)
                for table in (STREAMING_FILMS, QUARANTINE)
            }
            self._commit(month, objects, settled, landed_counts(landed), committed, conditions, self._properties)
        return True

    def _rewrite_month(self, month: Month, fresh: Collection[str], rewritten: set[Month] | None) -> None:
        """Replace a month, after those other months in which a copy that counted does not count any longer.

        ``rewritten`` are the months that this run has rewritten; it grows, and none of them is rewritten twice. With
        None no other month is rewritten: such months are reported.
        """
        committed = self._committed_tables()
        objects = month_objects(self._s3, self._bucket, month)
        gone = committed.month_keys(month) - {landed.key for landed in objects}
        if gone:
            raise LandingIncomplete(
                f"{month}: {len(gone)} objects of the tables are no longer in {self._bucket}, e.g. {min(gone)}"
            )
        _log.info("%s is rewritten from %d objects", month, len(objects))
        with caching() as cache:
            landed = cache(read_objects(self._spark, self._bucket, objects, fresh))
            lines = _repaired(objects, landed)
            settled, displaced = self._judge_copies(lines, self._neighbour_copies(month, objects, fresh), cache)
            self._watch.lap(f"{month}: {len(objects)} objects read and judged")
            displaced.discard(month)
            if rewritten is None:
                self.report.stale_months |= {other.key for other in displaced}
            else:
                rewritten.add(month)
                for other in sorted(displaced - rewritten):
                    self._rewrite_month(other, fresh, rewritten)
            conditions = dict.fromkeys((STREAMING_FILMS.name, QUARANTINE.name), in_month(month))
            properties = self._properties | {"replaced-month": month.key, "step-id": uuid.uuid4().hex}
            self._commit(month, objects, settled, landed_counts(landed), committed, conditions, properties)
        self._contested.discard(month)

    def _neighbour_copies(
        self, month: Month, objects: Sequence[LandedObject], fresh: Collection[str]
    ) -> DataFrame | None:
        """Copies in landed objects of other months, within 48 hours of these objects; None without such an object."""
        times = [landed.time for landed in objects if landed.time]
        if not times:
            return None
        around = list(neighbours(self._s3, self._bucket, month, min(times) - WINDOW, max(times) + WINDOW))
        if not around:
            return None
        lines = _repaired(around, read_objects(self._spark, self._bucket, around, fresh))
        lines = lines.where("reason IS NULL AND event_id IS NOT NULL")
        return lines.withColumn("mine", fn.lit(False)).select(*COPY)

    def _judge_copies(self, lines: DataFrame, others: DataFrame | None, cache: Cache) -> tuple[DataFrame, set[Month]]:
        """Give lines the reasons that follow from other copies; also the months in which a copy no longer counts."""
        mine = lines.where("reason IS NULL").withColumn("mine", fn.lit(True)).select(*COPY)
        judged = cache(judge(shared_copies(mine, others)).where("verdict IS NOT NULL OR displaced"))
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
        committed: CommittedTables,
        conditions: Mapping[str, Column],
        properties: Mapping[str, str],
    ) -> None:
        """Commit a step to the two tables, then record in the third that its objects are done.

        Both tables get a commit even if one of them gets no row, so that two concurrent runs over the same lines always
        conflict, whatever they make of them.

        Raises:
            Unreconciled: rows and landed lines do not agree, and no concurrent run explains it.
            Conflict: a concurrent run was faster.
        """
        fields = table_rows.count_fields(lines).collect()[0]
        snapshots = dict(committed.snapshots)
        if fields.lines or any(committed.has_files(table, month) for table in (QUARANTINE, STREAMING_FILMS)):
            quarantine, enriched = self._quarantine(month, objects, lines), table_rows.enrich(lines, self._films, month)
            for table, rows in ((QUARANTINE, quarantine), (STREAMING_FILMS, enriched)):
                condition, snapshot = conditions[table.name], committed.snapshots[table.name]
                snapshots[table.name] = iceberg.replace_rows(rows, table, condition, snapshot, properties)
                self._watch.lap(f"{month}: {table.name} committed")
            self.report.snapshot_id = snapshots[STREAMING_FILMS.name]
        committed_at = datetime.now(UTC)
        # Count the quarantine as it is now: a concurrent run may have put lines there that are good for this step.
        latest = iceberg.current_snapshot(self._spark, QUARANTINE)
        counted = count_rows(self._spark, snapshots | {QUARANTINE.name: latest}, conditions)
        try:
            tallies = reconcile(objects, landed, counted)
        except Unreconciled as unreconciled:
            if latest == snapshots[QUARANTINE.name]:
                raise
            self._contested.add(month)
            raise iceberg.Conflict(f"another run committed the same objects: {unreconciled}") from unreconciled
        record(self._spark, objects, tallies, self.run_id, self._mode, committed_at, properties)
        self._count(month, tallies.values(), fields)
        if fields.with_unknown_fields:
            for row in table_rows.count_unknown_fields(lines).collect():
                self.report.unknown_fields[row.field] += row["count"]

    def _quarantine(self, month: Month, objects: Sequence[LandedObject], lines: DataFrame) -> DataFrame:
        """Rows of the month's quarantine; the text of lines that only other lines make bad is fetched again."""
        late = lines.where("reason IS NOT NULL AND raw IS NULL")
        keys = {row.source_file for row in late.select("source_file").distinct().collect()}
        bad = lines.where("raw IS NOT NULL")
        if keys:
            landed = read_raw(self._spark, self._bucket, [landed for landed in objects if landed.key in keys])
            bad = bad.union(table_rows.with_raw(late, landed))
        return table_rows.quarantine(bad, month)

    def _count(self, month: Month, tallies: Collection[Tally], fields: Row) -> None:
        self.report.add(tallies)
        self.report.events += fields.events
        self.report.with_event_id += fields.with_event_id
        self.report.more_bad_values += fields.more_bad_values
        self._watch.lap(f"{month}: {sum(tally.landed for tally in tallies):,} landed lines reconciled with their rows")
        if tallies and month != UNKNOWN_MONTH:
            self.report.months.add(month.key)


def _repaired(objects: Sequence[LandedObject], landed: DataFrame) -> DataFrame:
    """The lines of these objects (``OBJECTS``), with the repairs among them applied."""
    lines = lines_of(landed)
    return table_rows.apply_repairs(lines) if any(one.is_repair for one in objects) else lines
