"""Athena on a real Trino as awswrangler sees it, in its three modes of reading."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import boto3
import pytest

from tests.local.aws.athena.conftest import SEEN
from tests.support.athena_home import DATA, DATABASE, RESULTS, WORKGROUP, AthenaHome

pytestmark = pytest.mark.trino


@pytest.fixture
def wrangler(trino_home: AthenaHome, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """awswrangler with the home's endpoints."""
    import awswrangler as wr

    settings = trino_home.lake.settings
    for name, url in {
        "s3": settings.emulator_url,
        "sts": settings.server_url,
        "athena": settings.server_url,
        "glue": settings.server_url,
    }.items():
        monkeypatch.setattr(wr.config, f"{name}_endpoint_url", url)
    yield wr
    wr.config.reset()


@pytest.mark.parametrize("mode", ["plain", "ctas", "unload"])
def test_awswrangler_reads(wrangler: Any, session: boto3.Session, films: str, mode: str) -> None:
    frame = wrangler.athena.read_sql_query(
        f"select film_id, title, rate, seen, day, good from {films} order by film_id nulls last",
        database=DATABASE,
        workgroup=WORKGROUP,
        ctas_approach=mode == "ctas",
        unload_approach=mode == "unload",
        s3_output=f"s3://{RESULTS}/unload/{uuid.uuid4()}/" if mode == "unload" else None,
        boto3_session=session,
    )
    metadata = frame.query_metadata
    frame = frame.sort_values("film_id")  # CTAS and UNLOAD write several files, in no fixed order
    assert frame["film_id"].tolist()[:2] == [1, 2]
    assert frame["title"].tolist()[0] == "ACADEMY DINOSAUR"
    assert frame["rate"].tolist()[:2] == [Decimal("0.99"), Decimal("4.99")]
    assert frame["seen"].tolist()[0] == SEEN
    assert frame["day"].tolist()[0] == datetime.date(2026, 1, 2)
    assert frame["good"].tolist()[:2] == [True, False]
    assert metadata["Status"]["State"] == "SUCCEEDED"
    tables = session.client("glue").get_tables(DatabaseName=DATABASE)["TableList"]
    assert not [table["Name"] for table in tables if table["Name"].startswith("temp_table")]


@pytest.mark.parametrize("mode", ["plain", "ctas", "unload"])
def test_awswrangler_reads_nothing(wrangler: Any, session: boto3.Session, films: str, mode: str) -> None:
    options: dict[str, Any] = {"ctas_approach": mode == "ctas", "unload_approach": mode == "unload"}
    if mode == "unload":
        options["s3_output"] = f"s3://{RESULTS}/unload/{uuid.uuid4()}/"
    read = wrangler.athena.read_sql_query
    arguments = {"database": DATABASE, "workgroup": WORKGROUP, "boto3_session": session, **options}
    if mode == "unload":  # as on AWS, UNLOAD of no rows writes no file
        with pytest.raises(wrangler.exceptions.EmptyDataFrame):
            read(f"select film_id, title from {films} where film_id = 99", **arguments)
        return
    frame = read(f"select film_id, title from {films} where film_id = 99", **arguments)
    assert frame.empty
    assert list(frame.columns) == ["film_id", "title"]


def test_awswrangler_parameters_and_descriptions(wrangler: Any, session: boto3.Session, films: str) -> None:
    arguments = {"database": DATABASE, "workgroup": WORKGROUP, "boto3_session": session}
    frame = wrangler.athena.read_sql_query(
        f"select title from {films} where title = ? and film_id = ?",
        params=["ACADEMY DINOSAUR", "1"],
        paramstyle="qmark",
        ctas_approach=False,
        **arguments,
    )
    assert frame["title"].tolist() == ["ACADEMY DINOSAUR"]
    described = wrangler.athena.describe_table(table=films, **arguments)
    assert described["Column Name"].tolist()[:3] == ["film_id", "title", "rate"]
    assert described["Type"].tolist()[:3] == ["bigint", "string", "decimal(4,2)"]
    assert "CREATE EXTERNAL TABLE" in wrangler.athena.show_create_table(table=films, **arguments)
    made = wrangler.athena.create_ctas_table(
        sql=f"select film_id, day from {films}", ctas_table="films_by_ctas", wait=True, **arguments
    )
    assert made["ctas_table"] == "films_by_ctas"
    assert wrangler.catalog.get_table_types(DATABASE, "films_by_ctas", boto3_session=session) == {
        "film_id": "bigint",
        "day": "date",
    }


def test_awswrangler_reads_its_own_table(wrangler: Any, session: boto3.Session) -> None:
    import pandas as pd

    frame = pd.DataFrame({"id": [1, 2, 3], "name": ["a", "b", None], "month": ["2026-01", "2026-01", "2026-02"]})
    wrangler.s3.to_parquet(
        frame,
        path=f"s3://{DATA}/wrangled/",
        dataset=True,
        database=DATABASE,
        table="wrangled",
        partition_cols=["month"],
        boto3_session=session,
    )
    found = wrangler.athena.read_sql_query(
        "select month, count(*) n from wrangled group by month order by month",
        database=DATABASE,
        workgroup=WORKGROUP,
        ctas_approach=False,
        boto3_session=session,
    )
    assert found.values.tolist() == [["2026-01", 2], ["2026-02", 1]]
