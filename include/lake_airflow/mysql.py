"""The MySQL that holds Sakila: connect with its secret, run a script, verify what was loaded.

A load that fails silently is the classic fault of this design, so ``verify_sakila`` checks all that replication relies
on before it may start.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

import pymysql
from pymysql.connections import Connection
from pymysql.constants import CLIENT, SERVER_STATUS

from datalake.mysql_script import ScriptError, statements
from datalake.names import SAKILA_SCHEMA
from datalake.tables import SAKILA

# The rows of both versions; only payment differs: 16044 rows in 1.5, 16049 in 0.8 and 1.2
SAKILA_ROWS: dict[str, Collection[int]] = {
    "actor": {200}, "address": {603}, "category": {16}, "city": {600}, "country": {109}, "customer": {599},
    "film": {1000}, "film_actor": {5462}, "film_category": {1000}, "film_text": {1000}, "inventory": {4581},
    "language": {6}, "payment": {16044, 16049}, "rental": {16044}, "staff": {2}, "store": {2},
}  # fmt: skip
SAKILA_OBJECTS = {"views": 7, "triggers": 6, "routines": 6}

_SCHEMA_OF_OBJECT = {"views": "table_schema", "triggers": "trigger_schema", "routines": "routine_schema"}
_COLUMNS = """
    SELECT c.table_name, c.column_name, c.column_type, c.character_set_name IS NOT NULL
    FROM information_schema.columns AS c
    JOIN information_schema.tables AS t ON t.table_schema = c.table_schema AND t.table_name = c.table_name
    WHERE c.table_schema = %s AND t.table_type = 'BASE TABLE'
    ORDER BY c.table_name, c.ordinal_position
"""
_NO_ESCAPES = SERVER_STATUS.SERVER_STATUS_NO_BACKSLASH_ESCAPES
NULL_TOKEN = "\\N"  # noqa: S105 - DMS writes NULL so into its CSV files


class SakilaError(Exception):
    """MySQL does not hold a complete Sakila; the message names every difference."""


def connect(secret: Mapping[str, Any], ca: str | None, database: str | None) -> Connection[Any]:
    """Open a connection over TLS that checks the server's certificate and host name; its time zone is UTC.

    Args:
        secret: host, port, username and password, as RDS's own secrets name them.
        ca: certificate file of the authority that signed the server's certificate; None: the system's authorities.
        database: schema to work in, or None.

    Raises:
        ConnectionError: the server is down, refuses the login, or has a wrong certificate; names host and port.
    """
    host, port = secret["host"], int(secret["port"])
    if ca and not Path(ca).is_file():
        raise ConnectionError(f"MySQL at {host}:{port} cannot be used: the file of its authority, {ca}, does not exist")
    try:
        return pymysql.connect(
            host=host,
            port=port,
            user=secret["username"],
            password=secret["password"],
            database=database,
            charset="utf8mb4",
            init_command="SET time_zone = '+00:00'",  # a script's TIMESTAMP literals mean UTC on every server
            ssl=ssl.create_default_context(cafile=ca),
            connect_timeout=10,
            client_flag=CLIENT.MULTI_STATEMENTS,  # as the mysql client: ``DROP ..; CREATE .. //`` is sent as one
        )
    except (pymysql.MySQLError, OSError) as error:
        raise ConnectionError(f"MySQL at {host}:{port} cannot be used: {error}") from error


def run_script(connection: Connection[Any], data: bytes, progress: Callable[[int, int], None] | None = None) -> int:
    """Run a script written for the mysql client, commit, and return the number of statements.

    As in the client, a statement outside a transaction is committed at once. ``progress`` is called after each
    statement with the bytes done and the bytes in all. The script may change the session (Sakila 0.8 switches key
    checks off), so close the connection afterwards.

    Raises:
        ScriptError: a statement failed or cannot be read; names its line. Later statements are not run.
    """
    count = 0
    connection.autocommit(True)
    with connection.cursor() as cursor:
        for statement in statements(data):
            try:
                cursor.execute(statement.text)
                while cursor.nextset():
                    pass
            except pymysql.MySQLError as error:
                beginning = statement.text[:80].decode("utf-8", "replace")
                raise ScriptError(f"line {statement.line}: {error}; the statement begins: {beginning}") from error
            # The type stubs lack server_status, the status that the server sent last
            if connection.server_status & _NO_ESCAPES:  # type: ignore[attr-defined]
                raise ScriptError(
                    f"line {statement.line}: sql_mode NO_BACKSLASH_ESCAPES is not supported, as it changes where a "
                    "quote ends: dump again without it, or take it out and double each backslash inside quotes"
                )
            count += 1
            if progress:
                progress(statement.end, len(data))
    connection.commit()
    return count


def count_rows(connection: Connection[Any], tables: Iterable[str]) -> dict[str, int]:
    """Count the rows of each table (``table`` or ``schema.table``)."""
    counts = {}
    with connection.cursor() as cursor:
        for table in tables:
            cursor.execute(f"SELECT COUNT(*) FROM {_quoted(table)}")  # noqa: S608 - quoted as an identifier
            counts[table] = _one(cursor)
    return counts


def columns(connection: Connection[Any], schema: str = SAKILA_SCHEMA) -> list[tuple[str, str, str, bool]]:
    """Table, name and type of each column of the schema's base tables, and whether it holds text, in order."""
    with connection.cursor() as cursor:
        cursor.execute(_COLUMNS, (schema,))
        return [*cursor.fetchall()]


def verify_sakila(connection: Connection[Any]) -> dict[str, int]:
    """Check that the schema ``sakila`` is complete and can be replicated; return the rows of its 16 base tables.

    Raises:
        SakilaError: names each wrong table or kind of object with what was expected and found, and each text column
            with a value that the CSV files could not distinguish from NULL.
    """
    faults = []
    found = {table for table, *_ in columns(connection)}
    faults += [f"table {name}: expected, not found" for name in sorted(SAKILA.keys() - found)]
    faults += [f"table {name}: found, not expected" for name in sorted(found - SAKILA.keys())]
    with connection.cursor() as cursor:
        for kind, expected in SAKILA_OBJECTS.items():
            query = f"SELECT COUNT(*) FROM information_schema.{kind} WHERE {_SCHEMA_OF_OBJECT[kind]} = %s"  # noqa: S608
            cursor.execute(query, (SAKILA_SCHEMA,))
            if (number := _one(cursor)) != expected:
                faults.append(f"{kind}: expected {expected}, found {number}")
    present = sorted(SAKILA.keys() & found)
    counts = dict(
        zip(present, count_rows(connection, [f"{SAKILA_SCHEMA}.{name}" for name in present]).values(), strict=True)
    )
    for name, number in counts.items():
        if number not in SAKILA_ROWS[name]:
            expected_rows = " or ".join(str(rows) for rows in sorted(SAKILA_ROWS[name]))
            faults.append(f"table {name}: expected {expected_rows} rows, found {number}")
    faults += find_null_token(connection)
    if faults:
        raise SakilaError("MySQL does not hold a complete Sakila: " + "; ".join(faults))
    return counts


def find_null_token(connection: Connection[Any], schema: str = SAKILA_SCHEMA) -> list[str]:
    r"""Name each text column of the schema that holds the value ``\N``, which means NULL in the CSV files."""
    faults = []
    with connection.cursor() as cursor:
        for table, column, _, is_text in columns(connection, schema):
            if not is_text:
                continue
            cursor.execute(
                f"SELECT COUNT(*) FROM {_quoted(f'{schema}.{table}')} "  # noqa: S608 - quoted as identifiers
                f"WHERE CAST(CONVERT({_quoted(column)} USING utf8mb4) AS BINARY) = %s",
                (NULL_TOKEN,),
            )
            if number := _one(cursor):
                faults.append(f"column {table}.{column}: {number} values are the text {NULL_TOKEN}, which means NULL")
    return faults


def _quoted(name: str) -> str:
    """``schema.table`` as identifiers."""
    return ".".join("`" + part.replace("`", "``") + "`" for part in name.split("."))


def _one(cursor: Any) -> int:
    """The single number of a result."""
    return int(cursor.fetchone()[0])
