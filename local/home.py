"""The home's services: what each one runs, what it needs first, and how it shows that it works."""

from __future__ import annotations

import json
import os
import sys
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from local.aws import emulator
from local.engines import accounts, airflow, java, mysql, postgres, trino
from local.environment import home_token_path
from local.settings import LISTEN, ROOT, TOOLS, Settings

Environment = Callable[[], dict[str, str]]
KEPT = (
    "HOME",
    "LAKE_LISTEN",
    "LANG",
    "LC_ALL",
    "PATH",
    "SSL_CERT_FILE",
    "TZ",
    "USER",
)  # of the caller's own environment


@dataclass(frozen=True)
class Service:
    """A process that runs for good, or (``once``) to its end.

    ``command`` and ``environment`` are asked at each start, after everything in ``after`` is ready. ``ready`` gets the
    time of the start; it may raise OSError or ValueError while there is no answer.
    """

    name: str
    command: Callable[[], list[str]]
    after: tuple[str, ...] = ()
    port: int | None = None  # on which the service itself, and no other process, must listen
    prepare: list[str] | None = None  # run to its end before each start
    environment: Environment = dict
    ready: Callable[[datetime], bool] = lambda _: True
    seconds: float = 90  # until it must be ready (or at its end)
    user: str | None = None
    stop: str = "TERM"
    once: bool = False


def base_environment(settings: Settings) -> dict[str, str]:
    """What every service gets: a little of the caller's environment, and which home it belongs to."""
    return {
        **{name: os.environ[name] for name in KEPT if name in os.environ},
        "LAKE_HOME": str(settings.home),
        "LAKE_PORT": str(settings.port),
        "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'include'}",
        "PYTHONUNBUFFERED": "1",
        "TMPDIR": str(settings.home / "tmp"),
    }


def services(settings: Settings) -> tuple[Service, ...]:
    """All of them, in the order in which a table shows them."""
    account = accounts.unprivileged()

    def module(name: str, *arguments: str) -> list[str]:
        return [sys.executable, "-m", name, *arguments]

    def part(name: str) -> Service:
        served = name == "api-server"
        return Service(
            f"airflow-{name}",
            lambda: airflow.command(name),
            after=("migrate", "server"),
            port=settings.airflow_port if served else None,
            environment=lambda: airflow.airflow_environment(settings),
            ready=lambda since: airflow.answers(settings) if served else airflow.beats(settings, name, since),
            seconds=180,
        )

    return (
        Service(
            "mysql",
            lambda: mysql.command(settings),
            port=settings.mysql_port,
            prepare=module("local.engines.mysql"),
            ready=lambda _: mysql.answers(settings),
            user=account,
        ),
        Service(
            "postgres",
            lambda: postgres.command(settings),
            port=settings.postgres_port,
            prepare=module("local.engines.postgres"),
            ready=lambda _: postgres.answers(settings),
            user=account,
            stop="INT",  # at once, without waiting for clients to leave
        ),
        Service(
            "emulator",
            lambda: emulator.command(TOOLS / "emulator" / "bin" / "python", settings.calls),
            port=settings.emulator_port,
            environment=lambda: emulator.environment(LISTEN, settings.emulator_port, settings.data / "emulator"),
            ready=lambda _: emulator.answers(settings.emulator_url),
        ),
        Service(
            "server",
            lambda: module("local.commands.aws_server", "front"),
            after=("emulator", "mysql"),
            port=settings.server_port,
            environment=java.environment,  # Glue jobs start Spark
            ready=lambda _: _get(f"{settings.server_url}/health")["home"] == str(settings.home),
        ),
        Service(
            "ingestion",
            lambda: module("local.commands.aws_server", "ingestion"),
            after=("server",),  # which makes the home's token
            port=settings.ingestion_port,
            ready=lambda _: _get(f"{settings.ingestion_url}/health")["home"] == str(settings.home),
        ),
        Service(
            "trino",
            lambda: trino.command(settings),
            after=("server",),
            port=settings.trino_port,
            prepare=module("local.commands.provision", "prepare"),
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
        *(part(name) for name in airflow.PARTS),
        Service(
            "airflow-logs",
            lambda: airflow.log_server(settings),
            after=("migrate", "server"),
            port=settings.airflow_port + 1,
            environment=lambda: airflow.airflow_environment(settings),
            seconds=180,
        ),
        Service(
            "deploy",
            lambda: module("local.commands.provision", "deploy"),
            after=("server", "ingestion", "mysql"),
            once=True,
            seconds=300,
        ),
    )


def ports(settings: Settings) -> dict[int, str]:
    """Every port that the home takes, and for what."""
    return {service.port: service.name for service in services(settings) if service.port}


def replay_catalog(settings: Settings) -> None:
    """Have the server tell a restarted emulator what the catalog's journal holds; raises OSError."""
    deadline = time.monotonic() + 30
    token = home_token_path(settings).read_text()
    request = urllib.request.Request(  # noqa: S310
        f"{settings.server_url}/internal/replay", method="POST", headers={"Authorization": token}
    )
    while True:
        try:
            with urllib.request.urlopen(request, timeout=60):  # noqa: S310
                return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)


def _get(url: str) -> dict[str, object]:
    with urllib.request.urlopen(url, timeout=5) as reply:  # noqa: S310
        answer: dict[str, object] = json.load(reply)
        return answer


def now() -> datetime:
    """The present, with its zone."""
    return datetime.now(UTC)
