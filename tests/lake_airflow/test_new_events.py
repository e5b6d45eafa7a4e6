from __future__ import annotations

import itertools
import uuid
from collections.abc import Iterable
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import duckdb
import pytest
from airflow.providers.amazon.aws.hooks.athena import AthenaHook
from airflow.providers.amazon.aws.hooks.glue_catalog import GlueCatalogHook
from airflow.providers.amazon.aws.hooks.s3 import S3Hook

from datalake.landing import parse_key
from datalake.tables import RECONCILIATION
from lake_airflow import new_events
from lake_airflow.athena import run_query
from lake_airflow.defaults import LAKE
from tests.support.aws_services import Emulator
from tests.support.dag_services import FakeAthena, Handler

STREAM = "events-1-"


def key(moment: str, folder: str = "") -> str:
    """The key of an object as Firehose names it; ``moment`` is yyyy-MM-dd-HH-mm-ss."""
    return (
        f"streaming/{folder or moment[:7].replace('-', '/')}/{STREAM}{moment}-{uuid.uuid5(uuid.NAMESPACE_URL, moment)}"
    )


class Tables:
    """streaming_reconciliation in DuckDB, asked through Athena's API by the very SQL of the DAG."""

    def __init__(self, aws_calls: dict[str, Handler]) -> None:
        self.connection = duckdb.connect()
        self.connection.execute("CREATE SCHEMA curated")
        columns = ", ".join(f'"{column.name}" VARCHAR' for column in RECONCILIATION.columns)
        self.connection.execute(f"CREATE TABLE {RECONCILIATION.full_name} ({columns})")
        self.athena = FakeAthena(aws_calls, self.answer)

    def answer(self, sql: str) -> list[list[str | None]]:
        result = self.connection.execute(sql)
        names: list[str | None] = [column[0] for column in result.description]
        return [names, *([None if value is None else str(value) for value in row] for row in result.fetchall())]

    def commit(self, keys: Iterable[str]) -> None:
        """One row for each key, as a run leaves it."""
        for landed in keys:
            described = parse_key(landed)
            values = f"'{landed}', '{described.month.year}', '{described.month.number}'"
            self.connection.execute(
                f"INSERT INTO {RECONCILIATION.full_name} (source_file, partition_0, partition_1) VALUES ({values})"
            )


@pytest.fixture
def tables(aws_calls: dict[str, Handler]) -> Tables:
    return Tables(aws_calls)


def land(emulator: Emulator, *keys: str, body: bytes = b'{"film_id": 1}\n') -> None:
    for landed in keys:
        emulator.client("s3").put_object(Bucket=LAKE.landing_bucket, Key=landed, Body=body)


def make_table(emulator: Emulator) -> None:
    table = RECONCILIATION
    emulator.client("glue").create_table(DatabaseName=table.database, TableInput={"Name": table.name})


def found(**options: bool) -> list[str]:
    return new_events.find_new_objects(S3Hook(), AthenaHook(), GlueCatalogHook().conn, **options)


@pytest.mark.services
class TestFindNewObjects:
    def test_nothing_landed_asks_nobody(self, lake_services: Emulator, tables: Tables) -> None:
        assert found() == []
        assert tables.athena.queries == []

    def test_before_the_first_run_all_is_new(self, lake_services: Emulator, tables: Tables) -> None:
        keys = [key("2026-10-31-23-59-59"), key("2026-11-01-00-00-00")]
        land(lake_services, *keys)
        assert found() == keys
        assert tables.athena.queries == []

    def test_nothing_new(self, lake_services: Emulator, tables: Tables) -> None:
        keys = [key("2026-09-01-10-00-00"), key("2026-10-31-23-59-59"), key("2026-11-01-00-00-00")]
        land(lake_services, *keys)
        make_table(lake_services)
        tables.commit(keys)
        assert found() == []
        assert len(tables.athena.queries) == 1

    def test_what_the_tables_lack_is_new(self, lake_services: Emulator, tables: Tables) -> None:
        old, late, new = key("2026-11-01-10-00-00"), key("2026-11-01-09-00-00"), key("2026-11-01-11-00-00")
        land(lake_services, old, late, new)
        make_table(lake_services)
        tables.commit([old])
        assert found() == [late, new]

    def test_a_new_months_first_object_is_new(self, lake_services: Emulator, tables: Tables) -> None:
        months = [key(f"2026-{month:02}-15-10-00-00") for month in (7, 8, 9, 11)]
        land(lake_services, *months)
        make_table(lake_services)
        tables.commit(months[:3])
        assert found() == months[3:]

    def test_an_object_of_which_no_line_is_enriched_is_done_by_its_row(
        self, lake_services: Emulator, tables: Tables
    ) -> None:
        """Nothing is fetched or counted: wholly bad, wholly copied and blank objects have their row as any other."""
        bad, blank = key("2026-11-01-10-00-00"), key("2026-11-01-10-05-00")
        land(lake_services, bad, body=b"bad\n\nworse\n")
        land(lake_services, blank, body=b"\n\n")
        make_table(lake_services)
        assert found() == [bad, blank]
        tables.commit([bad, bad, blank])  # two runs have committed the first: hourly, then a rebuild
        assert found() == []

    def test_a_straggler_is_found_by_the_sweep(self, lake_services: Emulator, tables: Tables) -> None:
        straggler, newest = key("2026-09-03-10-00-00"), key("2026-11-20-10-00-00")
        land(lake_services, straggler, newest)
        make_table(lake_services)
        tables.commit([newest])
        assert found() == []
        assert found(everything=True) == [straggler]

    def test_repairs_of_any_month_are_new_until_they_are_done(self, lake_services: Emulator, tables: Tables) -> None:
        keys = [key("2026-08-01-10-00-00"), key("2026-10-01-10-00-00"), key("2026-11-20-10-00-00")]
        repair = key("2026-08-01-10-00-00").replace("streaming/", "streaming-repaired/")
        land(lake_services, *keys, repair)
        make_table(lake_services)
        tables.commit(keys)
        assert found() == [repair]
        tables.commit([repair])
        assert found() == []

    def test_an_odd_name_outside_every_month_is_new_until_it_is_done(
        self, lake_services: Emulator, tables: Tables
    ) -> None:
        keys = [key("2026-10-01-10-00-00"), key("2026-11-20-10-00-00")]
        odd = "streaming/by-hand.json"
        land(lake_services, *keys, odd)
        make_table(lake_services)
        tables.commit(keys)
        assert found() == [odd]
        tables.commit([odd])
        assert found() == []

    def test_a_failed_query_is_an_error_with_athenas_reason(
        self, lake_services: Emulator, aws_calls: dict[str, Handler]
    ) -> None:
        land(lake_services, key("2026-11-20-10-00-00"))
        make_table(lake_services)
        FakeAthena(aws_calls, lambda _: [], state="CANCELLED", reason="Bytes scanned limit was exceeded")
        with pytest.raises(RuntimeError, match="CANCELLED: Bytes scanned limit was exceeded"):
            found()


@pytest.mark.parametrize(
    ("run_type", "hour", "parameter", "mode"),
    [
        ("scheduled", 2, "hourly", "hourly"),
        ("scheduled", new_events.SWEEP_HOUR, "hourly", "sweep"),
        ("manual", new_events.SWEEP_HOUR, "hourly", "hourly"),
        ("manual", 12, "sweep", "sweep"),
    ],
)
def test_one_scheduled_run_a_day_sweeps(
    run_type: str, hour: int, parameter: str, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []

    def find(*_: Any, everything: bool) -> list[str]:
        asked.append(everything)
        return ["an object"]

    monkeypatch.setattr(new_events, "find_new_objects", find)
    run = SimpleNamespace(run_type=run_type, run_after=datetime(2026, 11, 1, hour, 5, tzinfo=UTC))
    assert new_events.mode_of_new_objects(run, {"mode": parameter}) == mode
    assert asked == [mode == "sweep"]


def test_nothing_new_is_false(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(new_events, "find_new_objects", lambda *_, **__: [])
    run = SimpleNamespace(run_type="manual", run_after=datetime(2026, 11, 1, tzinfo=UTC), clear_number=0)
    assert not new_events.mode_of_new_objects(run, {"mode": "hourly"})


def test_a_cleared_run_goes_on_with_nothing_new(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it took before is to be reconciled, announced and judged, or the run would become green without that."""
    monkeypatch.setattr(new_events, "find_new_objects", lambda *_, **__: [])
    run = SimpleNamespace(run_type="manual", run_after=datetime(2026, 11, 1, tzinfo=UTC), clear_number=1)
    assert new_events.mode_of_new_objects(run, {"mode": "hourly"}) == "hourly"


def test_pages_of_a_result_without_an_order_agree(aws_calls: dict[str, Handler]) -> None:
    """Athena runs a query once. Of this one every run gives the rows in another order."""
    orders = itertools.cycle(itertools.permutations("abcd"))

    def answer(_: str) -> list[list[str | None]]:
        names: list[list[str | None]] = [[name] for name in next(orders)]
        return [["source_file"], *names]

    FakeAthena(aws_calls, answer)
    rows = run_query(AthenaHook(), "tasks/count_films.sql")
    assert sorted(str(row["source_file"]) for row in rows) == list("abcd")
