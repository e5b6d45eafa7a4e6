"""Which landed objects are not in the tables yet; without one the hourly run starts no job."""

from __future__ import annotations

import logging
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from airflow.providers.amazon.aws.hooks.athena import AthenaHook
from airflow.providers.amazon.aws.hooks.glue_catalog import GlueCatalogHook
from airflow.providers.amazon.aws.hooks.s3 import S3Hook
from airflow.sdk import Param

from datalake import landing, tables
from datalake.months import Month
from datalake.schemas import Table
from lake_airflow.athena import run_query
from lake_airflow.defaults import LAKE

if TYPE_CHECKING:
    from mypy_boto3_glue import GlueClient

log = logging.getLogger(__name__)

HOURLY, SWEEP = "hourly", "sweep"  # the job's modes
SWEEP_HOUR = 3  # UTC

MODE_PARAM = Param(
    HOURLY,
    type="string",
    enum=[HOURLY, SWEEP],
    title="Mode",
    description="hourly takes new objects with names of the last day; sweep looks at all, for those that came late.",
)


def landed_months(s3: S3Hook) -> list[Month]:
    """The month folders in which events have landed, oldest first."""
    return sorted(landing.landed_months(s3.conn, LAKE.landing_bucket))


def table_exists(glue: GlueClient, table: Table) -> bool:
    """Whether the Glue catalog knows the table."""
    try:
        glue.get_table(DatabaseName=table.database, Name=table.name)
    except glue.exceptions.EntityNotFoundException:
        return False
    return True


def mode_of_new_objects(dag_run: Any, params: Any) -> str | None:
    """The mode in which the job should run now, or None if there is nothing new.

    It is the mode of the run's parameters; only the scheduled run of SWEEP_HOUR always sweeps. A cleared run has
    always something to do: what the tasks after the job have left undone.
    """
    is_daily = dag_run.run_type == "scheduled" and dag_run.run_after.hour == SWEEP_HOUR
    mode = SWEEP if is_daily else params["mode"]
    new = find_new_objects(S3Hook(), AthenaHook(), GlueCatalogHook().conn, everything=mode == SWEEP)
    log.info("%s: %d new objects: %s", mode, len(new), ", ".join(new[:10]) + (" ..." if len(new) > 10 else ""))
    return mode if new or dag_run.clear_number else None


def find_new_objects(s3: S3Hook, athena: AthenaHook, glue: GlueClient, *, everything: bool = False) -> list[str]:
    """Keys of landed objects that the job would take; both use the same rules (``datalake.landing``).

    The done objects are read from ``curated.streaming_reconciliation`` by one Athena query over the last two landed
    months. If nothing is new, these hold the newest done object and the 24 hours before it. Only for objects of other
    months (a repair, an odd name) there is a second query. With ``everything`` all months are queried and all objects
    listed. Before the first run there is no table, and all objects are new.
    """
    landed = landed_months(s3)
    if not landed:
        return []
    if not table_exists(glue, tables.RECONCILIATION):
        return landing.new_objects(s3.conn, LAKE.landing_bucket, (), None)
    asked = set(landed if everything else landed[-2:])
    done = done_objects(athena, asked)
    newest = None if everything else max(done, key=_name_time, default=None)
    new = landing.new_objects(s3.conn, LAKE.landing_bucket, done, newest)
    elsewhere = {landed.month for landed in map(landing.parse_key, new)} - asked
    if elsewhere:
        done |= done_objects(athena, elsewhere)
    return [key for key in new if key not in done]


def _name_time(key: str) -> tuple[bool, Any]:
    """Sorts keys by the time in their name; those without a time come first."""
    time = landing.parse_key(key).time
    return time is not None, time or 0


def done_objects(athena: AthenaHook, months: Collection[Month]) -> set[str]:
    """Keys of the done objects of these months."""
    rows = run_query(athena, "tasks/done_objects.sql", months=sorted(months))
    return {str(row["source_file"]) for row in rows}
