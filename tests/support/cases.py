"""The public-style cases of ``tests/cases``: small files modelled on real ones, each with its source."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest

from local.settings import ROOT

CASES = ROOT / "tests" / "cases"


def cases(kind: str) -> list[Any]:
    """A test's parameters: the tables of a kind's ``cases.toml``, with ``path`` added, named by their files."""
    index = tomllib.loads((CASES / kind / "cases.toml").read_text())["case"]
    return [pytest.param({**case, "path": CASES / kind / case["file"]}, id=case["file"]) for case in index]
