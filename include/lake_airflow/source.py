"""The film company's MySQL as the DAGs use it: reached by its secret, filled from scripts in the artifacts bucket."""

from __future__ import annotations

import logging
import os
from contextlib import closing
from typing import TYPE_CHECKING, Any

from airflow.providers.amazon.aws.hooks.s3 import S3Hook
from airflow.providers.amazon.aws.hooks.secrets_manager import SecretsManagerHook

from datalake import tables
from datalake.names import SAKILA_SCHEMA, SAKILA_SCRIPTS_PREFIX
from lake_airflow import mysql
from lake_airflow.defaults import LAKE

if TYPE_CHECKING:
    from pymysql.connections import Connection

log = logging.getLogger(__name__)

# In this order: the first drops the schema and makes it anew, so loading again is harmless.
SCRIPT_KEYS = [f"{SAKILA_SCRIPTS_PREFIX}sakila-schema.sql", f"{SAKILA_SCRIPTS_PREFIX}sakila-data.sql"]


def connect(database: str | None = SAKILA_SCHEMA) -> closing[Connection[Any]]:
    """A connection to the lake's MySQL, to be used in a ``with`` statement.

    The secret is read through Airflow's AWS connection; LAKE_MYSQL_CA names the file of the authority that signed the
    server's certificate.
    """
    secret = SecretsManagerHook().get_secret_as_dict(LAKE.mysql_secret)
    return closing(mysql.connect(secret, os.environ.get("LAKE_MYSQL_CA"), database))


def run_scripts() -> None:
    """Run the scripts of SCRIPT_KEYS; raises mysql.ScriptError naming script and line of a statement that failed."""
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
    """Rows of each Sakila table; raises mysql.SakilaError naming tables with rows expected and found."""
    with connect() as connection:
        return mysql.verify_sakila(connection)


def count_rows() -> dict[str, int]:
    """Rows of each Sakila table as they are now."""
    with connect() as connection:
        return mysql.count_rows(connection, tables.SAKILA)
