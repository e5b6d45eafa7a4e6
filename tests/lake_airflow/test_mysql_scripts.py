"""Scripts through the mariadb client and through our reader make the same schemas and data. The client is the judge."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from datalake.mysql_script import REFUSED, ScriptError, statements
from lake_airflow.mysql import run_script
from tests.support.cases import CASES, cases
from tests.support.mariadb import MariaDb, mariadb

pytestmark = pytest.mark.services
OURS = "NOT IN ('information_schema', 'mysql', 'performance_schema', 'sys')"
SCHEMAS = f"SELECT schema_name, default_character_set_name FROM information_schema.schemata WHERE schema_name {OURS}"
# What a schema holds, apart from its tables' rows and what tells when it was made
OBJECTS = (
    SCHEMAS,
    "SELECT trigger_name, action_timing, event_manipulation, event_object_table, action_statement, sql_mode "
    f"FROM information_schema.triggers WHERE trigger_schema {OURS}",
    "SELECT routine_name, routine_type, dtd_identifier, routine_definition, sql_mode "
    f"FROM information_schema.routines WHERE routine_schema {OURS}",
    "SELECT event_name, event_definition, interval_value, interval_field, starts, status, sql_mode "
    f"FROM information_schema.events WHERE event_schema {OURS}",
)
TABLES = f"SELECT table_schema, table_name, table_type FROM information_schema.tables WHERE table_schema {OURS}"


@pytest.fixture(scope="module")
def server() -> Iterator[MariaDb]:
    with mariadb() as running:
        yield running


def ask(cursor: Any, query: str) -> list[tuple[Any, ...]]:
    cursor.execute(query)
    return sorted(cursor.fetchall(), key=repr)


def empty(server: MariaDb) -> None:
    """Drop all that scripts have made."""
    with server.connect() as connection, connection.cursor() as cursor:
        for name, _ in ask(cursor, SCHEMAS):
            cursor.execute("DROP DATABASE `" + name.replace("`", "``") + "`")


def state(server: MariaDb) -> dict[str, Any]:
    """Everything that scripts have made: the objects, and each table's definition and rows."""
    found: dict[str, Any] = {}
    with server.connect() as connection, connection.cursor() as cursor:
        for query in OBJECTS:
            found[query] = ask(cursor, query)
        for schema, table, kind in ask(cursor, TABLES):
            name = ".".join("`" + part.replace("`", "``") + "`" for part in (schema, table))
            definition = ask(cursor, f"SHOW CREATE TABLE {name}")
            found[name] = (kind, definition, ask(cursor, f"SELECT * FROM {name}"))
    return found


def by_the_client(server: MariaDb, script: bytes, *options: str) -> subprocess.CompletedProcess[bytes]:
    """Run a script as people do: mariadb < script.sql. Its session's time zone is the one that ours has."""
    login = [f"--user={server.secret['username']}", f"--password={server.secret['password']}", f"--ssl-ca={server.ca}"]
    address = ["--host=127.0.0.1", f"--port={server.port}", "--init-command=SET time_zone = '+00:00'"]
    command = ["mariadb", "--no-defaults", *login, *address, "--default-character-set=utf8mb4", *options]
    return subprocess.run(command, input=script, capture_output=True, check=False)


def by_us(server: MariaDb, script: bytes) -> None:
    with server.connect() as connection:
        run_script(connection, script)


@pytest.mark.parametrize("case", cases("scripts"))
def test_a_script_becomes_what_the_client_makes_of_it(server: MariaDb, case: dict[str, Any]) -> None:
    script = case["path"].read_bytes()
    empty(server)
    if "error" in case:
        with pytest.raises(ScriptError) as caught:
            by_us(server, script)
        assert case["error"] in str(caught.value)
        return
    done = by_the_client(server, script, *case.get("client", []))
    assert (done.returncode, done.stderr) == (0, b"")
    expected = state(server)
    assert any(isinstance(one, tuple) for one in expected.values()), "the script has made no table"
    empty(server)
    by_us(server, script)
    assert state(server) == expected


def test_every_script_is_in_the_index() -> None:
    files = {path.name for path in (CASES / "scripts").iterdir()} - {"cases.toml"}
    assert {one.values[0]["file"] for one in cases("scripts")} == files


def test_the_refused_commands_are_the_clients(server: MariaDb) -> None:
    listed = by_the_client(server, b"help\n").stdout.splitlines()
    names = {line.split()[0] for line in listed if b"(\\" in line}
    assert {name for name in names if name.isalpha()} - {b"delimiter", b"use"} == REFUSED


# Characters that quotes, comments and delimiters are made of
_ODD = st.text(alphabet="'\"`;\\#-/*!|$ \né a", max_size=8)
_COMMENT_TEXT = _ODD.map(lambda text: text.replace("*", "").replace("!", ""))
_GAP = st.one_of(
    st.sampled_from([" ", "\n", "  \n "]),
    _COMMENT_TEXT.map(lambda text: f" /* {text} */ "),
    _COMMENT_TEXT.map(lambda text: " -- " + text.replace("\n", "") + "\n"),
    _COMMENT_TEXT.map(lambda text: " #" + text.replace("\n", "") + "\n"),
)


@st.composite
def _literals(draw: st.DrawFn) -> str:
    """A text in quotes of either kind, with quotes inside it doubled or after a backslash."""
    quote, text = draw(st.sampled_from("'\"")), draw(_ODD).replace("\\", "\\\\")
    return quote + text.replace(quote, draw(st.sampled_from([quote * 2, "\\" + quote]))) + quote


@st.composite
def _scripts(draw: st.DrawFn) -> str:
    """Valid statements that insert odd texts, with odd comments between their words, under changing delimiters."""
    parts, delimiter = (
        ["CREATE OR REPLACE TABLE odd.log (line VARCHAR(99) CHARACTER SET utf8mb4) ENGINE = MEMORY;"],
        ";",
    )
    for _ in range(draw(st.integers(1, 4))):
        if draw(st.booleans()):
            delimiter = draw(st.sampled_from([";", ";;", "//", "$$", "|", "||", "$"]))
            argument = draw(st.sampled_from(["{}", "'{}'", '"{}"', "{} -- why; not", "  {}  "])).format(delimiter)
            parts.append("\n" + draw(st.sampled_from(["DELIMITER ", "  delimiter\t"])) + argument + "\n")
        into = draw(st.sampled_from(["INTO", "/*!50000 INTO */", "/*M!100000 INTO */"]))
        words = ["INSERT", into, "odd.log", "VALUES", "(" + draw(_literals()), ")"]
        parts += [word + draw(_GAP) for word in words]
        parts.append(draw(st.sampled_from([delimiter, delimiter * 2, "\\g", "\\G"])))
    return "".join(parts)


@given(script=_scripts())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_valid_script_inserts_the_same_rows(server: MariaDb, script: str) -> None:
    rows = "SELECT line FROM odd.log"
    with server.connect() as connection, connection.cursor() as cursor:
        cursor.execute("CREATE DATABASE IF NOT EXISTS odd")
        done = by_the_client(server, script.encode())
        assert (done.returncode, done.stderr) == (0, b""), script
        expected = ask(cursor, rows)
        run_script(connection, script.encode())
        assert ask(cursor, rows) == expected
    assert len(expected) == len(list(statements(script.encode()))) - 1
