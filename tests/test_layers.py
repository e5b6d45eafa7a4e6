"""Which room may import which. CONTRIBUTING.md says why the tree is divided so."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.settings import ROOT

# Every room of first-party code, the lowest first, and the rooms that it may import besides itself. A room may import
# lower rooms only, so there can be no circle. The longest name that fits a file is its room.
ROOMS: dict[str, set[str]] = {
    "include/datalake": set(),
    "include/kdg": set(),
    "include/datalake_spark": {"include/datalake"},
    "include/glue": {"include/datalake", "include/datalake_spark"},
    "include/lambda": {"include/datalake"},
    "include/lake_airflow": {"include/datalake"},
    "plugins": {"include/lake_airflow"},
    "dags": {"include/datalake", "include/lake_airflow"},
    "infrastructure/cfn": set(),
    "infrastructure": {"include/datalake", "infrastructure/cfn"},
    "oracle": set(),
    "local/settings.py": set(),
    "local/environment.py": {"local/settings.py"},
    "local/engines": {"include/datalake", "local/settings.py", "local/environment.py"},
    "local/aws": {"infrastructure/cfn", "local/engines"},
    "local/supervision": {"local/settings.py", "local/engines"},
    "local/installation": {"local/settings.py", "local/engines", "local/supervision"},
    "local/home.py": {
        "local/settings.py",
        "local/environment.py",
        "local/engines",
        "local/aws",
        "local/supervision",
    },
    "local/deployment.py": {
        "local/settings.py",
        "local/environment.py",
        "local/engines",
        "local/supervision",
    },
    "local/commands": {
        "include/datalake",
        "include/kdg",
        "infrastructure",
        "local/settings.py",
        "local/environment.py",
        "local/engines",
        "local/aws",
        "local/supervision",
        "local/installation",
        "local/home.py",
        "local/deployment.py",
    },
    "local/__main__.py": {"local/commands"},
    "benchmarks": {"include/datalake", "oracle", "local/settings.py", "local/engines", "local/commands", "tests"},
}
# Folders in which Python looks for first-party modules.
IMPORT_ROOTS = ("", "include", "include/lambda/csv_to_parquet")


def room_of(path: Path) -> str:
    """The room of a file or folder; ``tests`` is the room of the tests, which may import everything."""
    name = path.relative_to(ROOT).as_posix()
    found = [room for room in (*ROOMS, "tests") if f"{name}/".startswith(f"{room}/")]
    return max(found, key=len, default="")


def files_of(room: str) -> list[Path]:
    """A room's own files, without those of a room inside it."""
    place = ROOT / room
    return [file for file in ([place] if place.is_file() else sorted(place.rglob("*.py"))) if room_of(file) == room]


def imported_names(path: Path) -> Iterator[str]:
    """The dotted names that a module imports, wherever in it, and what it takes from each."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path} imports by a relative name"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def imported_rooms(path: Path) -> set[str]:
    """The rooms whose modules a file imports."""
    return {room_of(module) for name in imported_names(path) if (module := located(name))}


def located(name: str) -> Path | None:
    """The first-party module, or package, that a dotted name or the longest beginning of it stands for."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        for root in IMPORT_ROOTS:
            place = ROOT.joinpath(root, *parts[:length])
            if place.with_suffix(".py").is_file():
                return place.with_suffix(".py")
            if any(place.glob("*.py")):
                return place
    return None


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_what_the_table_allows(room: str) -> None:
    files = files_of(room)
    assert files, f"{room} holds no Python file"
    allowed = {room, *ROOMS[room]}
    found = {str(path.relative_to(ROOT)): extra for path in files if (extra := imported_rooms(path) - allowed)}
    assert found == {}


def test_a_room_may_import_lower_rooms_only() -> None:
    order = [*ROOMS, "tests"]
    order.insert(order.index("benchmarks"), order.pop())  # the tests may import all but the benchmarks
    circles = {
        room: higher
        for room, allowed in ROOMS.items()
        if (higher := [one for one in allowed if order.index(one) >= order.index(room)])
    }
    assert circles == {}


def test_every_file_is_in_a_room() -> None:
    tops = {room.partition("/")[0] for room in ROOMS}
    files = [file for top in sorted(tops) for file in (ROOT / top).rglob("*.py")]
    assert [file for file in files if not room_of(file) and file.name != "__init__.py"] == []


def packages_of(path: Path) -> set[str]:
    return {name.partition(".")[0] for name in imported_names(path)}


def test_the_core_needs_nothing_but_python() -> None:
    allowed = {"__future__", "datalake", "mypy_boto3_s3", *sys.stdlib_module_names}  # stubs are for mypy alone
    files = files_of("include/datalake")
    assert {str(path): extra for path in files if (extra := packages_of(path) - allowed)} == {}


def test_what_runs_in_the_emulators_python_needs_nothing_else() -> None:
    aws = ROOT / "local" / "aws"
    files = [aws / "__init__.py", aws / "settings.py", aws / "iam_decisions.py", *(aws / "emulator").glob("*.py")]
    allowed = {"__future__", "ministack", *sys.stdlib_module_names}
    for path in files:
        assert packages_of(path) - allowed <= {"local"}
        own = {name.rpartition(".")[0] for name in imported_names(path) if name.startswith("local.")}
        assert own <= {"local.aws.settings", "local.aws.iam_decisions"}
