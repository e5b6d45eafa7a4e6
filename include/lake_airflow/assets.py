"""The lake's assets: by some of them DAGs start each other, and all of them show where data comes from (lineage).

There is one for each table, with its name and the URI of its folder, for MySQL's schema, for the CSV files that DMS
lands, and for each report. A task that writes one names what it was made from as its ``inlets``.
"""

from __future__ import annotations

from airflow.sdk import Asset

from datalake import tables
from datalake.names import DMS_PREFIX, REPORTS_PREFIX, SAKILA_SCHEMA
from datalake.schemas import Table
from lake_airflow.defaults import LAKE


def table_asset(table: Table) -> Asset:
    """The asset of a table, e.g. ``curated.film_category`` at ``s3://<curated bucket>/film_category``."""
    return Asset(name=table.full_name, uri=table.location(LAKE))


# The loaded and verified MySQL schema. Its URI only identifies it, so it has a scheme of its own.
MYSQL_SAKILA = Asset(name=f"mysql.{SAKILA_SCHEMA}", uri=f"x-mysql://{LAKE.mysql_instance}/{SAKILA_SCHEMA}")

# DMS's CSV files, from which the Lambda makes the clean tables
LANDED_SAKILA = Asset(name=f"landing.{SAKILA_SCHEMA}", uri=f"s3://{LAKE.landing_bucket}/{DMS_PREFIX}{SAKILA_SCHEMA}")
CLEAN_TABLES = {name: table_asset(table) for name, table in tables.SAKILA.items()}
LANDED_EVENTS = table_asset(tables.LANDED_EVENTS)
FILM_CATEGORY = table_asset(tables.FILM_CATEGORY)
STREAMING_FILMS = table_asset(tables.STREAMING_FILMS)


def report_asset(name: str, folder: str) -> Asset:
    """The asset of a report, e.g. ``reports.film_popularity``; ``folder`` is that of its file under ``reports/``."""
    return Asset(name=f"reports.{name}", uri=f"s3://{LAKE.results_bucket}/{REPORTS_PREFIX}{folder}{name}.csv")
