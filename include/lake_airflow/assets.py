"""The assets at which DAGs meet: one for each table, named after it, found at its folder."""

from __future__ import annotations

from airflow.sdk import Asset

from datalake import tables
from datalake.names import SAKILA_SCHEMA
from datalake.schemas import Table
from lake_airflow.defaults import LAKE


def table_asset(table: Table) -> Asset:
    """The asset of a table, e.g. ``curated.film_category`` at ``s3://<curated bucket>/film_category``."""
    return Asset(name=table.full_name, uri=table.location(LAKE))


# The loaded and verified MySQL schema. The URI has a scheme of its own: it names the thing and is no address.
MYSQL_SAKILA = Asset(name=f"mysql.{SAKILA_SCHEMA}", uri=f"x-mysql://{LAKE.mysql_instance}/{SAKILA_SCHEMA}")

CLEAN_TABLES = {name: table_asset(table) for name, table in tables.SAKILA.items()}
LANDED_EVENTS = table_asset(tables.LANDED_EVENTS)
FILM_CATEGORY = table_asset(tables.FILM_CATEGORY)
STREAMING_FILMS = table_asset(tables.STREAMING_FILMS)
