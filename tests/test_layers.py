"""Who may import whom, as CONTRIBUTING.md has it."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.settings import ROOT


def imported(path: Path) -> Iterator[str]:
    """The packages that a module imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield (node.module or "").partition(".")[0]


@pytest.mark.parametrize("folder", ["dags", "plugins", "include", "infrastructure", "oracle"])
def test_the_local_home_is_imported_by_none_of_what_it_runs(folder: str) -> None:
    files = sorted((ROOT / folder).rglob("*.py"))
    assert files
    assert [path for path in files if {"local", "tests"} & set(imported(path))] == []


def test_the_core_needs_nothing_but_python() -> None:
    allowed = {"__future__", "datalake", *sys.stdlib_module_names}
    files = sorted((ROOT / "include" / "datalake").rglob("*.py"))
    assert files
    assert {str(path): extra for path in files if (extra := set(imported(path)) - allowed)} == {}
