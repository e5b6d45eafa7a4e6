"""Steps of the DAG replay_quarantine: publish the uploaded repairs, and report what is left in quarantine."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Collection, Mapping
from typing import Any

from airflow.providers.amazon.aws.hooks.athena import AthenaHook
from airflow.providers.amazon.aws.hooks.s3 import S3Hook
from airflow.sdk import Param
from airflow.sdk.exceptions import AirflowFailException

from datalake.events import REPAIRABLE
from datalake.months import Month
from datalake.names import REPAIRS_PREFIX
from lake_airflow import repairs
from lake_airflow.athena import run_query
from lake_airflow.defaults import LAKE
from lake_airflow.notes import give_note

log = logging.getLogger(__name__)

REASON_PARAM = Param(
    repairs.ALL_REASONS,
    type="string",
    enum=[repairs.ALL_REASONS, *REPAIRABLE],
    title="Reason",
    description="Repair only lines that are in quarantine for this reason; all: any reason.",
)

KEYS_IN_A_QUERY = 1000  # Athena takes statements of at most 256 KiB (Athena quotas)
REFUSED_SHOWN = 20

Result = dict[str, Any]


def publish_repairs(month: str, params: Mapping[str, Any]) -> Result:
    """Publish the good lines of ``repairs/<month>/``; returns what ``check_repairs`` needs.

    Raises:
        AirflowFailException: nothing was uploaded, or no line of it is good, so that the job would change nothing.
    """
    s3, of_month = S3Hook().conn, Month.parse(month)
    result = repairs.publish(
        s3, LAKE.landing_bucket, of_month, params["reason"], lambda keys: quarantined(of_month, keys)
    )
    for refused in result.refused:
        log.error("Refused: %s", refused)
    log.info("Published: %s", result.keys)
    if not result.new and not result.before:
        if result.refused:
            raise AirflowFailException(_refusals(len(result.refused), result.refused))
        raise AirflowFailException(f"There is no line under s3://{LAKE.landing_bucket}/{REPAIRS_PREFIX}{month}/")
    return {
        "new": dict(result.new),
        "before": result.before,
        "keys": result.keys,
        "refused": len(result.refused),
        "refused_examples": result.refused[:REFUSED_SHOWN],
    }


def check_repairs(published: Result, month: str, params: Mapping[str, Any], ti: Any) -> str:
    """Put into the run's note how many lines were repaired and how many are left, by reason; returns the text.

    Raises:
        AirflowFailException: some lines were refused; names them with their reasons. All others are repaired.
    """
    of_month = Month.parse(month)
    left = lines_left(of_month, params["reason"])
    not_taken = Counter(quarantined(of_month, published["keys"]).values())
    parts = [
        f"repaired: {_counts(published['new'])}",
        f"left in quarantine: {_counts(left)}",
        *([f"repaired by earlier runs: {published['before']:,}"] if published["before"] else []),
        *([f"repairs quarantined themselves: {_counts(not_taken)}"] if not_taken else []),
        *([f"refused: {published['refused']:,} lines, see check_repairs"] if published["refused"] else []),
    ]
    sentence = "; ".join(parts)
    give_note(ti, sentence)
    if published["refused"]:
        raise AirflowFailException(f"{_refusals(published['refused'], published['refused_examples'])}\n{sentence}")
    return sentence


def lines_left(month: Month, reason: str) -> Counter[str]:
    """The number of bad lines of the month in quarantine that no repair supersedes, by reason."""
    counted = run_query(AthenaHook(), "tasks/quarantine_by_reason.sql", month=month)
    left = Counter({str(row["reason"]): int(row["line_count"] or 0) for row in counted})
    repaired = {repair.supersedes for repair in repairs.published(S3Hook().conn, LAKE.landing_bucket, month)}
    held = quarantined(month, {line.source_file for line in repaired})
    # Of a line of several events the job alone knows whether each of them is repaired: then it has another reason.
    once = {line[:2] for line in repaired if held.get(line[:2]) not in repairs.SEVERAL_EVENTS}
    left.subtract(held[line] for line in once if line in held)
    asked = left.keys() - repairs.NOT_WRONG if reason == repairs.ALL_REASONS else {reason}
    return Counter({name: count for name, count in left.items() if name in asked and count})


def quarantined(month: Month, keys: Collection[str]) -> dict[tuple[str, int], str]:
    """The month's quarantined lines of these landed objects: source_file, source_line -> reason."""
    ordered = sorted(keys)
    rows = [
        row
        for start in range(0, len(ordered), KEYS_IN_A_QUERY)
        for row in run_query(
            AthenaHook(),
            "tasks/quarantined_lines_of_objects.sql",
            month=month,
            keys=ordered[start : start + KEYS_IN_A_QUERY],
        )
    ]
    return {(str(row["source_file"]), int(row["source_line"] or 0)): str(row["reason"]) for row in rows}


def _counts(by_reason: Mapping[str, int]) -> str:
    return ", ".join(f"{reason} {count:,}" for reason, count in sorted(by_reason.items())) or "none"


def _refusals(count: int, examples: list[str]) -> str:
    shown = "\n".join(examples) + ("\n..." if count > len(examples) else "")
    return f"{count} uploaded lines were refused:\n{shown}"
