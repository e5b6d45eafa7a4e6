"""The statements for Athena: each is a file, linted, and the saved queries are named after their files."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "include" / "sql" / "athena"
SEEDS = ("overall_top_streaming_categories", "overall_top_streaming_states")  # the queries of the original system

STATEMENT = re.compile(
    r"""\s*(select\b.*\bfrom\b | with\s+\w+\s+as\s*\( | insert\s+(into|overwrite)\b | delete\s+from\b | merge\s+into\b
        | update\s+\S+\s+set\b | (create|drop|alter|truncate|refresh)\s+(\w+\s+)?(table|view|schema|database)\b
        | (unload|call|optimize|vacuum|msck)\s)""",
    re.IGNORECASE | re.VERBOSE | re.DOTALL,
)
# Statements that rightly stand in code, by file
IN_CODE = {
    "include/lake_airflow/mysql.py": "asks MySQL, whose driver binds the values; table names come from the schema",
    "include/datalake_spark/iceberg.py": "Spark makes a table from the columns that datalake/tables.py declares",
    "include/datalake_spark/table_maintenance.py": "Spark calls Iceberg's procedures with computed arguments",
}


def statements(path: Path) -> Iterator[str]:
    """The string literals of a module, but for docstrings, that begin as SQL statements do."""
    tree = ast.parse(path.read_text())
    parts = {id(value) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for value in node.values}
    parts |= {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        text = ""
        if isinstance(node, ast.JoinedStr):
            text = "".join(str(v.value) if isinstance(v, ast.Constant) else "x" for v in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in parts:
            text = node.value
        if STATEMENT.match(text):
            yield text


def test_statements_stand_in_files_of_their_own() -> None:
    modules = [path for folder in ("dags", "include", "plugins") for path in (ROOT / folder).rglob("*.py")]
    found = {str(path.relative_to(ROOT)) for path in modules if any(statements(path))}
    assert found == IN_CODE.keys()


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ('run("select a\\nfrom t")', 1),
        ('run(f"  WITH x AS (SELECT 1) {rest}")', 1),
        ('run(f"DELETE FROM {table} WHERE a")', 1),
        ('run("update t set a = 1")', 1),
        ('run("merge into t using s")', 1),
        ('log("Select one of them")', 0),
        ('log("with care")', 0),
        ('"""Create the table."""', 0),
    ],
)
def test_a_statement_in_code_is_recognised(code: str, found: int, tmp_path: Path) -> None:
    module = tmp_path / "module.py"
    module.write_text(code)
    assert len(list(statements(module))) == found


@pytest.mark.parametrize("file", sorted((FOLDER / "saved").glob("*.sql")), ids=lambda file: file.stem)
def test_a_saved_query_is_a_named_query_of_the_template(file: Path) -> None:
    template = (ROOT / "infrastructure" / "template.yaml").read_text()
    assert f"Name: {file.stem.replace('_', '-').title()}\n" in template
    assert f"file://{file.relative_to(ROOT)}\n" in template
    assert ";" not in file.read_text()


@pytest.mark.parametrize("stem", SEEDS)
def test_a_query_of_the_seed_says_what_it_returns(stem: str) -> None:
    first, rest = (FOLDER / "saved" / f"{stem}.sql").read_text().split("\n", 1)
    assert re.fullmatch(r"-- Returns a list of all \w+, sorted by highest number of views", first)
    code = re.sub(r"--.*", "", rest)
    assert code == code.lower()


def test_statements_are_linted() -> None:
    sqlfluff = Path(sys.executable).parent / "sqlfluff"
    reply = subprocess.run([sqlfluff, "lint", FOLDER], cwd=ROOT, capture_output=True, text=True, check=False)
    assert reply.returncode == 0, reply.stdout


def test_statements_know_no_task() -> None:
    """Tasks give their values to a statement by name, so that a DAG may name its tasks as it likes."""
    assert [file.name for file in FOLDER.rglob("*.sql") if "xcom" in file.read_text()] == []
