"""A lake home of each module's own, and the template deployed into it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.lake_home import LakeHome, lake_home


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LakeHome]:
    with lake_home(tmp_path_factory.mktemp("home")) as running:
        yield running


@pytest.fixture(scope="module")
def outputs(home: LakeHome) -> dict[str, str]:
    return home.deploy()
