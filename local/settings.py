"""Where the local home keeps its things and which ports it takes: all derived from two settings.

LAKE_HOME  folder of one home's state (default ``.local/home`` in the checkout)
LAKE_PORT  first of ten consecutive ports on 127.0.0.1 (default 14500)

LAKE_LISTEN, for a network namespace of the home's own alone, is the address on which what clients use listens: a
container's published ports do not lead to its 127.0.0.1. Everything is called by 127.0.0.1 in any case.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

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

    @property
    def server_port(self) -> int:
        """Our server: AWS's API, and the credentials of the home's components."""
        return self.port

    @property
    def emulator_port(self) -> int:
        """ministack."""
        return self.port + 1

    @property
    def mysql_port(self) -> int:
        """MariaDB."""
        return self.port + 2

    @property
    def postgres_port(self) -> int:
        """Airflow's metadata."""
        return self.port + 3

    @property
    def trino_port(self) -> int:
        """The engine behind Athena's front."""
        return self.port + 4

    @property
    def airflow_port(self) -> int:
        """Airflow's UI and API; the next port serves the logs of running tasks."""
        return self.port + 5

    @property
    def ingestion_port(self) -> int:
        """DMS and Firehose, behind our server."""
        return self.port + 7

    @property
    def server_url(self) -> str:
        """Endpoint of the services that our server answers."""
        return f"http://{HOST}:{self.server_port}"

    @property
    def ingestion_url(self) -> str:
        """Where our server sends what is DMS's and Firehose's."""
        return f"http://{HOST}:{self.ingestion_port}"

    @property
    def emulator_url(self) -> str:
        """Endpoint of every other AWS service."""
        return f"http://{HOST}:{self.emulator_port}"

    @property
    def logs(self) -> Path:
        """One log file a service: <service>.log."""
        return self.home / "logs"

    @property
    def data(self) -> Path:
        """One data folder a service."""
        return self.home / "data"

    @property
    def iam_decisions(self) -> Path:
        """Every decision of IAM, one JSON line each (``local.aws.iam_decisions``)."""
        return self.home / "iam-decisions.jsonl"

    @property
    def secrets(self) -> Path:
        """Files of mode 0600: passwords, keys, tokens."""
        return self.home / "secrets"
