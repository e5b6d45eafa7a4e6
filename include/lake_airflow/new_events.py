"""Which landed objects the tables do not know yet: the hourly run ends without a job when there are none."""

from __future__ import annotations

import logging
import re
from collections.abc import Collection
from pathlib import Path
from typing import Any

from airflow.providers.amazon.aws.hooks.athena import AthenaHook
from airflow.providers.amazon.aws.hooks.glue_catalog import GlueCatalogHook
from airflow.providers.amazon.aws.hooks.s3 import S3Hook
from airflow.sdk import Param
from jinja2 import Template

from datalake import landing, tables
from datalake.events import split_lines
from datalake.names import CURATED_DATABASE, STREAMING_PREFIX
from datalake.schemas import Table
from lake_airflow.athena import query_rows
from lake_airflow.defaults import LAKE, SQL_PATH, poll_seconds

log = logging.getLogger(__name__)

HOURLY, SWEEP = "hourly", "sweep"  # the job's modes
SWEEP_HOUR = 3  # UTC

MODE_PARAM = Param(
    HOURLY,
    type="string",
    enum=[HOURLY, SWEEP],
    title="Mode",
    description="hourly looks at names of the last day; sweep at the whole landing zone, for what came very late.",
)

Month = tuple[str, str]  # partition_0 and partition_1: yyyy, MM

_MONTH_FOLDER = re.compile(rf"{STREAMING_PREFIX}(\d{{4}})/(\d{{2}})/")


def landed_months(s3: S3Hook) -> list[Month]:
    """The month folders in which events have landed, oldest first."""
    years = s3.list_prefixes(LAKE.landing_bucket, STREAMING_PREFIX, "/")
    folders = [folder for year in years for folder in s3.list_prefixes(LAKE.landing_bucket, year, "/")]
    found = (_MONTH_FOLDER.fullmatch(folder) for folder in folders)
    return sorted((match[1], match[2]) for match in found if match)


def table_exists(glue: Any, table: Table) -> bool:
    """Whether the Glue catalog knows the table. ``glue`` is a boto3 client."""
    try:
        glue.get_table(DatabaseName=table.database, Name=table.name)
    except glue.exceptions.EntityNotFoundException:
        return False
    return True


def mode_of_new_objects(dag_run: Any, params: Any) -> str | None:
    """The mode in which the job should run now, or None when it would find nothing new.

    A run takes the mode of its parameters; the scheduled run of SWEEP_HOUR sweeps.
    """
    is_daily = dag_run.run_type == "scheduled" and dag_run.run_after.hour == SWEEP_HOUR
    mode = SWEEP if is_daily else params["mode"]
    new = find_new_objects(S3Hook(), AthenaHook(), GlueCatalogHook().conn, everything=mode == SWEEP)
    log.info("%s: %d new objects: %s", mode, len(new), ", ".join(new[:10]) + (" ..." if len(new) > 10 else ""))
    return mode if new else None


def find_new_objects(s3: S3Hook, athena: AthenaHook, glue: Any, *, everything: bool = False) -> list[str]:
    """Keys of landed objects that the job would take; it asks the same rule (``datalake.landing``).

    What is done is asked of the tables: one Athena query over the last two landed months, which hold the newest done
    object and the 24 hours before it whenever nothing is new. Only when an object of another month is left (a repair,
    an odd name) are those months asked for too. ``everything`` asks for all months, and sets no bound to the listing.
    Before the first run there are no tables, and all is new.
    """
    landed = landed_months(s3)
    if not landed:
        return []
    if not all(table_exists(glue, table) for table in (tables.STREAMING_FILMS, tables.QUARANTINE)):
        return landing.new_objects(s3.conn, LAKE.landing_bucket, (), None)
    asked = set(landed if everything else landed[-2:])
    recorded = recorded_objects(athena, asked)
    newest = None if everything else max(recorded, key=_name_time, default=None)
    enriched = {key for key, quarantined in recorded.items() if quarantined is None}
    new = landing.new_objects(s3.conn, LAKE.landing_bucket, enriched, newest)
    elsewhere = {(o.partition_0, o.partition_1) for o in map(landing.parse_key, new)} - asked
    if elsewhere:
        recorded |= recorded_objects(athena, elsewhere)
    return [key for key in new if not (key in recorded and _is_done(s3, key, recorded[key]))]


def _name_time(key: str) -> tuple[bool, Any]:
    """Order keys by the time in their name; those without one come first."""
    time = landing.parse_key(key).time
    return time is not None, time or 0


def recorded_objects(athena: AthenaHook, months: Collection[Month]) -> dict[str, int | None]:
    """The objects of these months that have rows: None for those in streaming_films, else the lines in quarantine."""
    template = (Path(SQL_PATH) / "recorded_objects.sql").read_text(encoding="utf-8")
    sql = Template(template).render(months=sorted(months))
    query = athena.run_query(sql, {"Database": CURATED_DATABASE}, {}, workgroup=LAKE.workgroup)
    state = athena.poll_query_status(query, sleep_time=poll_seconds(30))
    if state != "SUCCEEDED":
        raise RuntimeError(f"Query {query} ended {state}: {athena.get_state_change_reason(query)}")
    return {
        str(row["source_file"]): None if int(row["enriched"] or 0) else int(row["quarantined"] or 0)
        for row in query_rows(athena, query)
    }


def _is_done(s3: S3Hook, key: str, quarantined: int | None) -> bool:
    """Whether every line of a landed object has its row. Quarantine is committed first, so its lines are counted."""
    if quarantined is None:
        return True
    body: bytes = s3.get_key(key, LAKE.landing_bucket).get()["Body"].read()
    return sum(1 for _ in split_lines(body)) == quarantined
