"""Fixtures: a lake home for each module, the template deployed into it, and the template resolved without one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from datalake.names import Lake
from tests.support.lake_home import LakeHome, lake_home
from tests.support.resolved_template import Resolved

LAKES = [Lake("local", "home"), Lake("a-long-one", "123456789012")]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LakeHome]:
    with lake_home(tmp_path_factory.mktemp("home")) as running:
        yield running


@pytest.fixture(scope="module")
def outputs(home: LakeHome) -> dict[str, str]:
    return home.deploy()


@pytest.fixture(scope="module", params=LAKES, ids=lambda lake: lake.environment)
def lake(request: pytest.FixtureRequest) -> Lake:
    found: Lake = request.param
    return found


@pytest.fixture(scope="module")
def resolved(lake: Lake) -> Resolved:
    return Resolved(lake)
