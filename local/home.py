"""What a home consists of: its services, what each one runs, what it needs first, and how it shows that it works."""

from __future__ import annotations

import json
import sys
import urllib.request
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any

from local.aws import emulator
from local.engines import accounts, airflow, java, mysql, postgres, trino
from local.settings import LISTEN, TOOLS, Settings
from local.supervision.service import Service


def services(settings: Settings) -> tuple[Service, ...]:
    """All of them, in the order in which a table shows them."""

    def module(name: str, *arguments: str) -> list[str]:
        return [sys.executable, "-m", name, *arguments]

    def database(name: str, engine: Any, port: int, stop: str) -> Service:
        return Service(
            name,
            lambda: engine.command(settings),
            port=port,
            prepare=module(engine.__name__),
            ready=lambda _: engine.answers(settings),
            user=accounts.unprivileged(),
            stop=stop,
        )

    def part(name: str, command: list[str], ready: Callable[[datetime], bool], port: int | None = None) -> Service:
        return Service(
            f"airflow-{name}",
            lambda: command,
            after=("migrate", "server"),
            port=port,
            environment=lambda: airflow.airflow_environment(settings),
            ready=ready,
            seconds=180,
        )

    return (
        database("mysql", mysql, settings.mysql_port, "TERM"),
        database("postgres", postgres, settings.postgres_port, "INT"),  # at once, without waiting for clients to leave
        Service(
            "emulator",
            lambda: emulator.command(TOOLS / "emulator" / "bin" / "python", settings.iam_decisions),
            port=settings.emulator_port,
            folder=settings.data / "emulator",  # whose state holds every secret of Secrets Manager
            environment=lambda: emulator.environment(LISTEN, settings.emulator_port, settings.data / "emulator"),
            ready=lambda _: emulator.answers(settings.emulator_url),
        ),
        Service(
            "server",
            lambda: module("local.commands.aws_server", "front"),
            after=("emulator", "mysql"),
            port=settings.server_port,
            environment=java.environment,  # Glue jobs start Spark
            ready=lambda _: _json(f"{settings.server_url}/health")["home"] == str(settings.home),
        ),
        Service(
            "ingestion",
            lambda: module("local.commands.aws_server", "ingestion"),
            after=("server",),  # which makes the home's token
            port=settings.ingestion_port,
            ready=lambda _: _json(f"{settings.ingestion_url}/health")["home"] == str(settings.home),
        ),
        Service(
            "trino",
            lambda: trino.command(settings),
            after=("server",),
            port=settings.trino_port,
            prepare=module("local", "prepare-trino"),
            environment=java.environment,
            ready=lambda _: trino.started(settings),
            seconds=180,
        ),
        Service(
            "migrate",
            lambda: module("local.engines.airflow"),
            after=("postgres",),
            environment=lambda: airflow.database_environment(settings),
            once=True,
            seconds=180,
        ),
        part("api-server", airflow.command("api-server"), lambda _: airflow.answers(settings), settings.airflow_port),
        *(part(name, airflow.command(name), partial(airflow.beats, settings, name)) for name in airflow.PORTLESS_PARTS),
        part("logs", airflow.log_server(settings), lambda _: True, settings.airflow_port + 1),
        Service(
            "deploy", lambda: module("local", "deploy"), after=("server", "ingestion", "mysql"), once=True, seconds=300
        ),
    )


def ports(settings: Settings) -> dict[int, str]:
    """Every port that the home takes, and for which service."""
    return {service.port: service.name for service in services(settings) if service.port}


def _json(url: str) -> dict[str, object]:
    with urllib.request.urlopen(url, timeout=5) as reply:  # noqa: S310
        answer: dict[str, object] = json.load(reply)
        return answer
