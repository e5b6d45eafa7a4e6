"""The oracle and the lake share no code; otherwise the same mistake could be in both."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.settings import ROOT

LAKE = {
    "csv_faults", "csv_to_parquet", "dags", "datalake", "datalake_spark", "glue", "infrastructure", "kdg",
    "lake_airflow", "lake_airflow.operators", "local", "plugins", "tests", "typed_csv",
}  # fmt: skip
MODULE = re.compile(r"[a-z_]+(\.[a-z_]+)+")
ENGINES = {"pyspark", "trino", "awswrangler"}


def imported(file: Path) -> Iterator[str]:
    """Top-level names of the modules that a file imports anywhere or names in a string."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{file}: a relative import"
            yield str(node.module).partition(".")[0]
        elif isinstance(node, ast.Constant) and MODULE.fullmatch(
            str(node.value)
        ):  # import_module("local.commands.demo")
            yield str(node.value).partition(".")[0]


def files(*folders: str) -> list[Path]:
    found = [file for folder in folders for file in (ROOT / folder).rglob("*.py")]
    assert found
    return found


@pytest.mark.parametrize("file", files("oracle"), ids=lambda file: file.name)
def test_the_oracle_imports_neither_the_lake_nor_an_engine_of_it(file: Path) -> None:
    assert not set(imported(file)) & (LAKE | ENGINES)


def test_nothing_of_the_lake_imports_the_oracle() -> None:
    lake = files("dags", "include", "infrastructure", "local", "plugins")
    assert [file for file in lake if "oracle" in imported(file)] == []
