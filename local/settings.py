"""Where the local home keeps its things and which ports it takes: all derived from two settings.

LAKE_HOME  folder of one home's state (default ``.local/home`` in the checkout)
LAKE_PORT  first of ten consecutive ports on 127.0.0.1 (default 14500)

LAKE_LISTEN, for a network namespace of the home's own alone, is the address on which what clients use listens: a
container's published ports do not lead to its 127.0.0.1. Everything is called by 127.0.0.1 in any case.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

ROOT = Path(__file__).resolve().parent.parent
PYTHON_PATH = os.pathsep.join((str(ROOT), str(ROOT / "include")))  # of every Python process of the home
TOOLS = ROOT / ".local" / "tools"  # installed once, shared by every home of this checkout
HOST = "127.0.0.1"
LISTEN = os.environ.get("LAKE_LISTEN", HOST)
ENVIRONMENT = "local"
SUFFIX = "home"
REGION = "us-east-1"
ACCOUNT = "123456789012"
ROOT_ACCESS_KEY = "test"  # the emulator's root caller; only the deployment and the server use it
DEVELOPER = "lake-developer"  # the IAM user whose keys `make -s env` prints

T = TypeVar("T")


class _Derived(Generic[T]):
    """An attribute that follows from a home's two settings."""

    def __init__(self, derive: Callable[[Settings], T]) -> None:
        self._derive = derive

    def __get__(self, home: Settings, _: type[Settings]) -> T:
        return self._derive(home)


@dataclass(frozen=True)
class Settings:
    """One home. Every path lies under ``home``; every port is ``port`` + a fixed offset."""

    home: Path
    port: int

    @classmethod
    def from_environment(cls) -> Settings:
        """Read LAKE_HOME and LAKE_PORT; raises ValueError when LAKE_PORT is no usable port."""
        text = os.environ.get("LAKE_PORT", "14500")
        if not text.isdigit() or not 1024 <= int(text) <= 65525:
            raise ValueError(f"LAKE_PORT={text!r}: give a number from 1024 to 65525 (ten ports are taken from there)")
        return cls(home=Path(os.environ.get("LAKE_HOME") or ROOT / ".local" / "home").resolve(), port=int(text))

    server_port = _Derived(lambda home: home.port)  # our server: AWS's API, and credentials of components
    emulator_port = _Derived(lambda home: home.port + 1)  # ministack
    mysql_port = _Derived(lambda home: home.port + 2)  # MariaDB
    postgres_port = _Derived(lambda home: home.port + 3)  # Airflow's metadata
    trino_port = _Derived(lambda home: home.port + 4)  # the engine behind Athena's front
    airflow_port = _Derived(lambda home: home.port + 5)  # Airflow's UI and API; the next one: logs of running tasks
    ingestion_port = _Derived(lambda home: home.port + 7)  # DMS and Firehose, behind our server
    server_url = _Derived(lambda home: f"http://{HOST}:{home.server_port}")  # of the services that our server answers
    ingestion_url = _Derived(lambda home: f"http://{HOST}:{home.ingestion_port}")  # where our server sends DMS's calls
    emulator_url = _Derived(lambda home: f"http://{HOST}:{home.emulator_port}")  # of every other AWS service
    airflow_url = _Derived(lambda home: f"http://{HOST}:{home.airflow_port}")
    logs = _Derived(lambda home: home.home / "logs")  # one log file a service: <service>.log
    data = _Derived(lambda home: home.home / "data")  # one data folder a service
    iam_decisions = _Derived(lambda home: home.home / "iam-decisions.jsonl")  # JSON lines: local.aws.iam_decisions
    secrets = _Derived(lambda home: home.home / "secrets")  # files of mode 0600: passwords, keys, tokens
    component_tokens = _Derived(lambda home: home.secrets / "component-tokens.json")  # made by the server
    home_token = _Derived(lambda home: home.secrets / "home-token")  # for calls such as POST /internal/replay; likewise
