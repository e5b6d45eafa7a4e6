"""Firehose without background threads."""

from __future__ import annotations

from pathlib import Path

import pytest

from local.aws.firehose.stream import Stream
from tests.local.aws.firehose.fakes import Api, FakeServices


@pytest.fixture
def services(tmp_path: Path) -> FakeServices:
    return FakeServices(tmp_path)


@pytest.fixture
def api(services: FakeServices, monkeypatch: pytest.MonkeyPatch) -> Api:
    monkeypatch.setattr(Stream, "start", lambda _: None)
    return Api(services)
