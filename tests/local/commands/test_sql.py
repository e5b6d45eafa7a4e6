"""``make sql``: the statement as it was typed, the rows whole, Athena's own errors, and what it would cost."""

from __future__ import annotations

import io
import re
import subprocess

import pytest

from datalake.names import CURATED_DATABASE
from local.commands import cli, sql
from local.settings import ENVIRONMENT, ROOT, SUFFIX
from tests.support.athena_home import OUTPUT, AthenaHome, allow


@pytest.mark.parametrize(
    "typed",
    [
        "select 'it''s' as \"a b\"",
        "select '$5', '$(x)', '${HOME}', '$$' -- # `id` \\\\",
        "select 1\nfrom film_category\nwhere title like '%A%';",
    ],
)
def test_quotes_and_dollars_reach_the_program(typed: str) -> None:
    command = ["make", "-o", "setup", "sql", f"Q={typed}", "LAKE=printenv LAKE_SQL #"]
    passed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    assert passed == f"{typed}\n"


def test_the_statement_is_what_was_given_or_the_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("select 3"))
    monkeypatch.setenv("LAKE_SQL", "select 2")
    assert sql.statement("select 1") == "select 1"
    assert sql.statement(None) == "select 2"
    monkeypatch.setenv("LAKE_SQL", "")
    assert sql.statement(None) == "select 3"


def test_no_statement_is_an_error(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(" \n"))
    assert cli.main(["sql"]) == 1
    assert capsys.readouterr().err == 'error: no statement: make sql Q="select ...", or make sql < file.sql\n'


@pytest.fixture
def lake(trino_home: AthenaHome, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lake of the home with a real Trino, for an analyst who may do everything."""
    session = trino_home.session(trino_home.lake.role("asker", allow("athena:*", "glue:*", "s3:*")))
    glue = trino_home.root("glue")
    if CURATED_DATABASE not in [one["Name"] for one in glue.get_databases()["DatabaseList"]]:
        glue.create_database(DatabaseInput={"Name": CURATED_DATABASE})
    monkeypatch.setattr(sql.boto3, "Session", lambda: session)
    monkeypatch.setenv("LAKE_ENVIRONMENT", ENVIRONMENT)
    monkeypatch.setenv("LAKE_SUFFIX", SUFFIX)


def printed(statement: str, capsys: pytest.CaptureFixture[str]) -> list[str]:
    assert cli.main(["sql", statement]) == 0
    return [line.rstrip() for line in capsys.readouterr().out.splitlines() if line.strip()]


@pytest.mark.trino
@pytest.mark.usefixtures("lake")
def test_rows_are_a_table_with_bytes_and_dollars(capsys: pytest.CaptureFixture[str]) -> None:
    statement = "select * from (values (1, 'it''s $5 [red]'), (20, null)) as t (id, name) order by id"
    head, _, first, second, count, cost = printed(statement, capsys)
    assert head.split() == ["id", "name"]
    assert first.split(maxsplit=1) == ["1", "it's $5 [red]"], "no markup is read"
    assert second.split() == ["20"]
    assert (first.index("1"), second.index("0")) == (2, 2), "numbers stand to the right"
    assert count == "2 rows"
    assert re.fullmatch(r"0 bytes scanned, [\d.]+ s, 0\.00005 dollars on AWS", cost), "10 MB at least are billed"


@pytest.mark.trino
@pytest.mark.usefixtures("lake")
def test_no_value_is_cut(capsys: pytest.CaptureFixture[str]) -> None:
    assert "x" * 700 in printed("select rpad('', 700, 'x') as long, 1 as n", capsys)[2]


@pytest.mark.trino
@pytest.mark.usefixtures("lake")
def test_a_large_result_is_bounded_and_says_where_it_is_whole(capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed("select n from unnest(sequence(1, 2500)) as t (n) order by n", capsys)
    assert [line.strip() for line in lines[2:102]] == [str(number) for number in range(1, 101)]
    assert re.fullmatch(rf"the first 100 rows; all of them: {OUTPUT}[\w-]+\.csv", lines[102])


@pytest.mark.trino
@pytest.mark.usefixtures("lake")
def test_what_is_no_query_costs_nothing_and_has_no_header(capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed("show databases", capsys)
    assert CURATED_DATABASE in [line.strip() for line in lines]
    assert lines[-1].endswith("0.00000 dollars on AWS")


@pytest.mark.trino
@pytest.mark.usefixtures("lake")
def test_a_description_is_a_table_too(trino_home: AthenaHome, capsys: pytest.CaptureFixture[str]) -> None:
    """DESCRIBE has the fields of a row in one cell, between tabs."""
    storage = {"Columns": [{"Name": "film_id", "Type": "bigint"}, {"Name": "title", "Type": "string"}]}
    described = {"Name": "described", "TableType": "EXTERNAL_TABLE", "StorageDescriptor": storage}
    trino_home.root("glue").create_table(DatabaseName=CURATED_DATABASE, TableInput=described)
    head, _, *rows = (line.split() for line in printed("describe described", capsys))
    assert head == ["col_name", "data_type", "comment"]
    assert rows[:2] == [["film_id", "bigint"], ["title", "string"]]


@pytest.mark.trino
@pytest.mark.usefixtures("lake")
@pytest.mark.parametrize(
    ("statement", "error"),
    [
        ("select nothing\nfrom (values 1) as t (n)", "line 1:8: Column 'nothing' cannot be resolved"),
        ("select 1\nfrm x", "line 2:5"),
        ("select 1; select 2", "Only one sql statement is allowed"),
    ],
)
def test_an_error_is_athenas_own_with_its_position(
    capsys: pytest.CaptureFixture[str], statement: str, error: str
) -> None:
    assert cli.main(["sql", statement]) == 1
    captured = capsys.readouterr()
    assert error in captured.err
    assert captured.err.startswith("error: ")
    assert captured.out == ""
