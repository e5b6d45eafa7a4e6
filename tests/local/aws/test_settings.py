"""What AWS's API is told of a home."""

from __future__ import annotations

from pathlib import Path

import pytest

from local import environment
from local import settings as home
from local.aws import settings as aws
from local.commands.aws_server import aws_settings

SETTINGS = home.Settings(Path("/nowhere"), 15650)


@pytest.mark.parametrize("name", ["ACCOUNT", "HOST", "REGION", "ROOT_ACCESS_KEY"])
def test_both_sides_mean_the_same(name: str) -> None:
    assert getattr(aws, name) == getattr(home, name)


def test_our_own_clients_go_where_every_client_goes() -> None:
    told = aws_settings(SETTINGS)
    served = {"dms" if name == "database_migration_service" else name for name in environment.SERVED}
    assert {told.endpoint(service) for service in served} == {SETTINGS.server_url}
    assert {told.endpoint(service) for service in ("s3", "sqs", "lambda")} == {SETTINGS.emulator_url}


def test_clients_are_told_nothing_of_the_lake() -> None:
    assert not [name for name in aws_settings(SETTINGS).endpoints if name.startswith("LAKE_")]
