"""The home that the journey's tests share. They run in the order of their files; the last checks all calls."""

from __future__ import annotations

from collections.abc import Iterator

import boto3
import pytest

from tests.support.own_home import Home, own_home


@pytest.fixture(scope="session")
def home() -> Iterator[Home]:
    with own_home("demo") as running:
        yield running


@pytest.fixture(scope="session")
def exported(home: Home) -> dict[str, str]:
    return home.client_environment()


@pytest.fixture(scope="session")
def session(exported: dict[str, str]) -> Iterator[boto3.Session]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in exported.items():
            patch.setenv(name, value)
        yield boto3.Session()
