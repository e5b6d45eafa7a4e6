"""Fixtures that several modules of this folder share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.athena_home import DATABASE, AthenaHome, athena_home


@pytest.fixture(scope="session")
def trino_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AthenaHome]:
    """One home with a real Trino for the whole test session; tests keep apart by the names they use."""
    with athena_home(tmp_path_factory.mktemp("athena")) as home:
        home.root("glue").create_database(DatabaseInput={"Name": DATABASE})
        yield home
