"""Rooms, files and functions stay small enough to be read at once."""

from __future__ import annotations

import ast
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from local.settings import ROOT
from tests.test_layers import ROOMS, room_of

ROOM_LINES, FILE_LINES, FUNCTION_LINES = 15_000, 300, 45
TOP_ROOMS = 12
# Functions that declare, one entry after the other, and decide nothing
TABLES = {
    "local/home.py": "services",
    "tests/faults/test_csv_content.py": "makers",
}


def python_files() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "*.py"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return [ROOT / name for name in listed.splitlines() if (ROOT / name).exists()]


def lines_of(path: Path) -> int:
    return len(path.read_text().splitlines())


def long_functions(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > FUNCTION_LINES:
                yield node.name


def top_room(path: Path) -> str:
    """The room at the top of the tree; of local, whose rooms differ most, the folder below it."""
    parts = path.relative_to(ROOT).parts
    return "/".join(parts[:2]) if parts[0] == "local" and len(parts) > 2 else parts[0]


def test_no_file_is_long() -> None:
    assert {str(path.relative_to(ROOT)): n for path in python_files() if (n := lines_of(path)) > FILE_LINES} == {}


def test_no_function_is_long_but_tables_of_declarations() -> None:
    found = [(str(path.relative_to(ROOT)), name) for path in python_files() for name in long_functions(path)]
    assert sorted(found) == sorted(TABLES.items())


def test_rooms_are_few_and_none_is_large() -> None:
    sizes: Counter[str] = Counter()
    for path in python_files():
        if room_of(path) in ROOMS:
            sizes[top_room(path)] += lines_of(path)
    assert len(sizes) <= TOP_ROOMS, sizes
    assert {room: size for room, size in sizes.items() if size > ROOM_LINES} == {}
