"""The statements for Athena: linted, and the saved queries named after their files."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SAVED = {
    "overall_top_streaming_categories": "Overall-Top-Streaming-Categories",
    "overall_top_streaming_states": "Overall-Top-Streaming-States",
}


@pytest.mark.parametrize(("stem", "name"), SAVED.items())
def test_a_saved_query_is_named_after_its_file(stem: str, name: str) -> None:
    assert stem.replace("_", "-").title() == name
    template = (ROOT / "infrastructure" / "template.yaml").read_text()
    assert f"Name: {name}\n" in template
    assert f"include/sql/athena/{stem}.sql" in template


@pytest.mark.parametrize("stem", SAVED)
def test_a_saved_query_says_what_it_returns(stem: str) -> None:
    first, rest = (ROOT / "include" / "sql" / "athena" / f"{stem}.sql").read_text().split("\n", 1)
    assert re.fullmatch(r"-- Returns a list of all \w+, sorted by highest number of views", first)
    code = re.sub(r"--.*", "", rest)
    assert code == code.lower()
    assert ";" not in code


@pytest.mark.parametrize("stem", SAVED)
def test_a_saved_query_is_linted(stem: str) -> None:
    path = ROOT / "include" / "sql" / "athena" / f"{stem}.sql"
    sqlfluff = Path(sys.executable).parent / "sqlfluff"
    reply = subprocess.run([sqlfluff, "lint", path], cwd=ROOT, capture_output=True, text=True, check=False)
    assert reply.returncode == 0, reply.stdout
