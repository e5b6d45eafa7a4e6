"""Every file of the public-style cases is in the index of its kind, with where it comes from and what it shows."""

from __future__ import annotations

import tomllib

from tests.support.cases import CASES


def test_each_file_has_its_entry_with_a_source() -> None:
    total = 0
    for index in sorted(CASES.glob("*/cases.toml")):
        entries = tomllib.loads(index.read_text())["case"]
        files = {path.name for path in index.parent.iterdir() if path != index}
        assert files == {entry["file"] for entry in entries}, index.parent.name
        assert all(entry["source"].strip() and entry["shows"].strip() for entry in entries)
        total += len(entries)
    assert total >= 60
