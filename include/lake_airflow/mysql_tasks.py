"""What tasks do with the film company's MySQL: run the scripts of the artifacts bucket, verify, count, compare."""

from __future__ import annotations

import logging
import os
from contextlib import closing
from typing import TYPE_CHECKING, Any

from airflow.providers.amazon.aws.hooks.s3 import S3Hook
from airflow.providers.amazon.aws.hooks.secrets_manager import SecretsManagerHook
from airflow.sdk.exceptions import AirflowFailException

from datalake import tables
from datalake.names import SAKILA_SCHEMA, SAKILA_SCRIPTS_PREFIX
from lake_airflow import mysql
from lake_airflow.defaults import LAKE
from lake_airflow.mysql_columns import drift

if TYPE_CHECKING:
    from pymysql.connections import Connection

log = logging.getLogger(__name__)

# In this order: the first script drops the schema and creates it again, so that loading can be repeated.
SCRIPT_KEYS = [f"{SAKILA_SCRIPTS_PREFIX}sakila-schema.sql", f"{SAKILA_SCRIPTS_PREFIX}sakila-data.sql"]


def connect(database: str | None = SAKILA_SCHEMA) -> closing[Connection[Any]]:
    """A connection to the lake's MySQL, for a ``with`` statement.

    The secret is read through Airflow's AWS connection. LAKE_MYSQL_CA names the certificate file of the authority that
    signed the server's certificate.
    """
    secret = SecretsManagerHook().get_secret_as_dict(LAKE.mysql_secret)
    return closing(mysql.connect(secret, os.environ.get("LAKE_MYSQL_CA"), database))


def run_scripts() -> None:
    """Run the scripts of SCRIPT_KEYS; raises mysql.ScriptError with script and line of a statement that failed."""
    s3 = S3Hook()
    for key in SCRIPT_KEYS:
        script = s3.get_key(key, LAKE.artifacts_bucket).get()["Body"].read()
        with connect(database=None) as connection:
            try:
                count = mysql.run_script(connection, script)
            except mysql.ScriptError as error:
                raise mysql.ScriptError(f"{key}, {error}") from error
        log.info("%s: %d statements", key, count)


def verify() -> dict[str, int]:
    """Rows of each Sakila table; raises mysql.SakilaError unless Sakila is complete."""
    with connect() as connection:
        return mysql.verify_sakila(connection)


def count_rows() -> dict[str, int]:
    """Rows of each Sakila table as they are now."""
    with connect() as connection:
        return mysql.count_rows(connection, tables.SAKILA)


def columns() -> dict[str, dict[str, str]]:
    """MySQL's own type of each column of each base table, such as ``{"film": {"length": "smallint(5) unsigned"}}``."""
    found: dict[str, dict[str, str]] = {}
    with connect(database=None) as connection:
        for table, column, mysql_type, _ in mysql.columns(connection):
            found.setdefault(table, {})[column] = mysql_type
    return found


def check_columns() -> None:
    r"""Check that MySQL has the columns that ``datalake.tables`` declares, before a load replaces the clean zone.

    Raises:
        AirflowFailException: names each table and column that was added, dropped or retyped, or that holds the text
            ``\N``, which means NULL in the CSV files. There is no retry.
    """
    faults = drift(columns())
    if not faults:
        with connect() as connection:
            faults = mysql.find_null_token(connection)
    if faults:
        raise AirflowFailException(
            f"MySQL cannot be loaded as datalake/tables.py declares it: {'; '.join(faults)}. Declare what has changed, "
            "or drop a new column by a remove-column rule in DMS's table mappings. Nothing was loaded."
        )
