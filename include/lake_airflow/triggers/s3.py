"""Wait until every CSV of a DMS load is converted."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cached_property

from airflow.providers.amazon.aws.hooks.s3 import S3Hook

from lake_airflow import replication
from lake_airflow.triggers.asking import AskingTrigger


class CsvConvertedTrigger(AskingTrigger):
    """Fires when every CSV of the load that began at ``started`` is converted, at ``until`` at the latest.

    Both are ISO-8601.
    """

    @cached_property
    def _s3(self) -> S3Hook:
        return S3Hook()

    def ask(self, started: str, until: str) -> str | None:
        """Why the wait is over, or None."""
        if not replication.unconverted(self._s3, replication.fresh_csvs(self._s3, started)):
            return "converted"
        return "late" if datetime.now(UTC) >= datetime.fromisoformat(until) else None
