"""The film_category job: its join on literal frames, and the whole job on the emulator."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from datalake.tables import FILM_CATEGORY, SAKILA
from datalake_spark import iceberg
from glue import film_category
from tests.glue.lake import TestLake

pytestmark = [pytest.mark.spark, pytest.mark.services]

UPDATED = datetime(2006, 2, 15, 5, 3, 42, tzinfo=UTC)


def film(film_id: int, **changes: Any) -> dict[str, Any]:
    """A row of sakila.film."""
    return {
        "film_id": film_id,
        "title": f"FILM {film_id}",
        "description": "about it",
        "release_year": 2006,
        "language_id": 1,
        "original_language_id": None,
        "rental_duration": 3,
        "rental_rate": None,
        "length": 86,
        "replacement_cost": None,
        "rating": "PG",
        "special_features": "Deleted Scenes,Behind the Scenes",
        "last_update": UPDATED,
        **changes,
    }


def link(film_id: int, category_id: int) -> dict[str, Any]:
    """A row of sakila.film_category."""
    return {"film_id": film_id, "category_id": category_id, "last_update": UPDATED}


CATEGORIES = [{"category_id": n, "name": name, "last_update": UPDATED} for n, name in ((1, "Action"), (2, "Drama"))]


def test_left_joins_in_the_originals_columns(spark: Any) -> None:
    frames = [
        spark.createDataFrame(rows, SAKILA[name].spark_ddl())
        for name, rows in (
            ("film", [film(1, original_language_id=4), film(2), film(3)]),
            ("film_category", [link(1, 2), link(2, 9), link(77, 1)]),
            ("category", CATEGORIES),
        )
    ]
    joined = film_category.denormalise(*frames)
    assert [(f.name, f.dataType.simpleString()) for f in joined.schema] == [
        (column.name, column.type) for column in FILM_CATEGORY.columns
    ]
    rows = {row.film_id: row.asDict() for row in joined.collect()}
    assert rows[1] == {
        "film_id": 1,
        "title": "FILM 1",
        "description": "about it",
        "release_year": 2006,
        "language_id": 1,
        "original_language_id": 4.0,
        "length": 86,
        "rating": "PG",
        "special_features": "Deleted Scenes,Behind the Scenes",
        "category_id": 2,
        "category_name": "Drama",
    }
    assert (rows[2]["category_id"], rows[2]["category_name"]) == (9, None)
    assert (rows[3]["category_id"], rows[3]["category_name"], rows[3]["original_language_id"]) == (None, None, None)


ARROW = {
    "bigint": pa.int64(),
    "string": pa.string(),
    "timestamp": pa.timestamp("us", "UTC"),
    "decimal(4,2)": pa.decimal128(4, 2),
    "decimal(5,2)": pa.decimal128(5, 2),
}


def put_clean(lake: TestLake, name: str, rows: list[dict[str, Any]]) -> None:
    """One Parquet object of a clean table, as the Lambda writes it."""
    table = SAKILA[name]
    schema = pa.schema([(column.name, ARROW[column.type]) for column in table.columns])
    body = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, schema), body)
    lake.s3.put_object(Bucket=lake.landing, Key=f"{table.prefix}LOAD00000001.parquet", Body=body.getvalue())


def run(lake: TestLake, run_id: str) -> dict[str, Any]:
    """Run the job as Glue calls it, and read its report. The landing bucket stands in as the clean one."""
    film_category.main(
        ["--JOB_NAME", "x", "--JOB_RUN_ID", run_id, "--clean_bucket", lake.landing, "--curated_bucket", lake.curated]
    )
    reply = lake.s3.get_object(Bucket=lake.curated, Key=f"runs/film_category/{run_id}.json")
    report: dict[str, Any] = json.loads(reply["Body"].read())
    return report


def test_the_job_replaces_the_table_or_leaves_it(lake: TestLake) -> None:
    put_clean(lake, "film", [film(1), film(2), film(3)])
    put_clean(lake, "film_category", [link(1, 1), link(2, 2), link(3, 2)])
    put_clean(lake, "category", CATEGORIES)
    report = run(lake, "jr_1")
    snapshot = iceberg.current_snapshot(lake.spark, FILM_CATEGORY)
    assert report == {"job": "film_category", "run_id": "jr_1", "films": 3, "categories": 2, "snapshot_id": snapshot}
    table = iceberg.identifier(FILM_CATEGORY)
    names = {row.film_id: row.category_name for row in lake.spark.table(table).collect()}
    assert names == {1: "Action", 2: "Drama", 3: "Drama"}

    put_clean(lake, "film_category", [link(1, 1), link(2, 2), link(2, 1)])
    with pytest.raises(film_category.UnusableFilms, match="two categories, or loaded twice.*: 2$"):
        run(lake, "jr_2")
    put_clean(lake, "film", [])
    with pytest.raises(film_category.UnusableFilms, match="no row"):
        run(lake, "jr_3")
    assert iceberg.current_snapshot(lake.spark, FILM_CATEGORY) == snapshot
