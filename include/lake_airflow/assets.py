"""The assets by which DAGs trigger each other: one for each table, with its name and the URI of its folder."""

from __future__ import annotations

from airflow.sdk import Asset

from datalake import tables
from datalake.names import SAKILA_SCHEMA
from datalake.schemas import Table
from lake_airflow.defaults import LAKE


def table_asset(table: Table) -> Asset:
    """The asset of a table, e.g. ``curated.film_category`` at ``s3://<curated bucket>/film_category``."""
    return Asset(name=table.full_name, uri=table.location(LAKE))


# The loaded and verified MySQL schema. Its URI only identifies it, so it has a scheme of its own.
MYSQL_SAKILA = Asset(name=f"mysql.{SAKILA_SCHEMA}", uri=f"x-mysql://{LAKE.mysql_instance}/{SAKILA_SCHEMA}")

CLEAN_TABLES = {name: table_asset(table) for name, table in tables.SAKILA.items()}
LANDED_EVENTS = table_asset(tables.LANDED_EVENTS)
FILM_CATEGORY = table_asset(tables.FILM_CATEGORY)
STREAMING_FILMS = table_asset(tables.STREAMING_FILMS)
