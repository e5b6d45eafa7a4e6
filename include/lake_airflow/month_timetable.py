"""The timetable of a DAG that works on one month in each run; ``plugins/month_timetable_plugin.py`` registers it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from airflow.timetables.base import DagRunInfo, TimeRestriction
from airflow.timetables.trigger import CronPartitionTimetable
from pendulum import DateTime, instance


class MonthTimetable(CronPartitionTimetable):
    """A scheduled run works on the month before it; a backfill works on every month that its range of dates touches.

    The date of a month's partition is its first moment, whenever the run is scheduled. Airflow's own
    CronPartitionTimetable dates a partition with a time of the schedule. If that is the 2nd at 02:00, a backfill up to
    the 1st of October leaves out October, one from the 5th of August leaves out August, and nothing says so.

    ``key_format`` must give one key for each month.
    """

    def iter_partition_dagrun_infos(self, *, earliest: datetime, latest: datetime) -> Iterable[DagRunInfo]:
        """The runs of a backfill: one for each month with a day in ``[earliest, latest]``, but none for the future."""
        month = self._month_of(self.localize_partition_datetime(earliest))
        last = min(self.localize_partition_datetime(latest), instance(datetime.now(UTC)))
        while month <= last:
            yield self._info(month, run_after=month)
            month = month.add(months=1)

    def next_dagrun_info_v2(
        self, *, last_dagrun_info: DagRunInfo | None, restriction: TimeRestriction
    ) -> DagRunInfo | None:
        """The next scheduled run, for the month before it."""
        info = super().next_dagrun_info_v2(last_dagrun_info=last_dagrun_info, restriction=restriction)
        if info is None:
            return None
        return self._info(self._month_of(info.run_after).subtract(months=1), run_after=info.run_after)

    def _month_of(self, moment: DateTime) -> DateTime:
        """The first moment of the month in which ``moment`` lies, in the timetable's zone."""
        return moment.in_timezone(self._timezone).start_of("month")

    def _info(self, month: DateTime, run_after: DateTime) -> DagRunInfo:
        return DagRunInfo(run_after, data_interval=None, partition_date=month, partition_key=self._format_key(month))
