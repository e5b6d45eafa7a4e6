"""Commits whose outcome the catalog does not tell, and the pauses between attempts."""

from __future__ import annotations

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as fn

from datalake.schemas import Table
from datalake.tables import RECONCILIATION
from datalake_spark import iceberg
from datalake_spark.iceberg import Conflict
from tests.glue.lake import TestLake, at
from tests.support.faulty_proxy import CUT, REPLY_LOST, faulty_proxy

NOON = at("2026-11-10 12:00:00")


@pytest.mark.spark
@pytest.mark.services
@pytest.mark.parametrize("fate", [REPLY_LOST, CUT])
def test_a_commit_of_unknown_outcome_is_looked_up_before_anything_else(
    lake: TestLake, aws_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch, fate: str
) -> None:
    lake.land(NOON)
    lake.hourly()
    held = iceberg.current_snapshot(lake.spark, RECONCILIATION)
    name = iceberg.identifier(RECONCILIATION)
    checks = "'commit.status-check.num-retries' = '1', 'commit.status-check.min-wait-ms' = '10'"
    lake.spark.sql(f"ALTER TABLE {name} SET TBLPROPERTIES ({checks})")
    rows = lake.reconciliation().collect()
    out: list[str] = []

    def becomes(_method: str, _path: str, action: str) -> str | None:
        if action == "AWSGlue.UpdateTable":
            out.append(action)
            return fate
        return CUT if out else None

    find = iceberg._find_commit

    def found(spark: SparkSession, table: Table, commit: str) -> int | None:
        out.clear()  # the catalog answers again
        return find(spark, table, commit)

    with faulty_proxy(aws_environment["AWS_ENDPOINT_URL"], becomes) as proxy, monkeypatch.context() as patch:
        session = lake.spark.newSession()
        session.conf.set("spark.sql.catalog.glue_catalog.glue.endpoint", proxy.url)
        patch.setattr(iceberg, "_find_commit", found)
        again = session.createDataFrame(rows, RECONCILIATION.spark_ddl())

        def replace() -> int:
            return iceberg.replace_rows(again, RECONCILIATION, fn.lit(True), held, {})

        if fate == CUT:
            with pytest.raises(Conflict, match="streaming_reconciliation"):
                replace()
            assert iceberg.current_snapshot(lake.spark, RECONCILIATION) == held
        else:
            assert replace() == iceberg.current_snapshot(lake.spark, RECONCILIATION) != held
    assert lake.reconciliation().count() == 1


def test_attempts_are_bounded_and_spread(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(iceberg.time, "sleep", pauses.append)

    def refused() -> None:
        raise Conflict("again")

    for _ in range(2):
        with pytest.raises(Conflict):
            iceberg.retried(refused)
    first, second = pauses[: len(pauses) // 2], pauses[len(pauses) // 2 :]
    assert len(first) == iceberg.ATTEMPTS - 1
    assert first != second
    bounds = [iceberg.PAUSE_SECONDS * 2**n for n in range(len(first))]
    assert all(bound / 2 <= pause <= bound * 1.5 for bound, pause in zip(bounds, first, strict=True))
