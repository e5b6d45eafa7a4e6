"""A whole home for one test, used as a newcomer uses it: `python -m local ...`, without the tests' own variables."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from local.settings import ROOT, Settings
from tests.support import kept_decisions
from tests.support.aws_services import lines_unlike_aws
from tests.support.ports import free_ports

NOT_A_NEWCOMERS = ("AIRFLOW", "AWS_", "LAKE_", "MYSQL_", "PYTHON")  # variables of the tests' own environment


class Home:
    """A running home and what its clients see of it."""

    def __init__(self, folder: Path) -> None:
        self.settings = Settings(home=folder, port=free_ports(10))
        kept = {k: v for k, v in os.environ.items() if k == "AWS_CA_BUNDLE" or not k.startswith(NOT_A_NEWCOMERS)}
        self.variables = {**kept, "LAKE_HOME": str(folder), "LAKE_PORT": str(self.settings.port)}
        self.printed = ""

    def run(self, *arguments: str, seconds: float = 900) -> str:
        """`python -m local ...` in this home; its output."""
        done = subprocess.run(
            [sys.executable, "-m", "local", *arguments],
            cwd=ROOT,
            env=self.variables,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
        assert done.returncode == 0, f"local {arguments} exited with {done.returncode}:\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def client_environment(self) -> dict[str, str]:
        """The variables that `make -s env` exports."""
        lines = self.run("env").splitlines()
        assert all(line.startswith("export ") for line in lines)
        pairs = (re.fullmatch(r"export (\w+)='?(.*?)'?", line) for line in lines)
        return {m[1]: m[2] for m in pairs if m}

    def processes(self) -> list[int]:
        """Every process whose environment names this home."""
        needle = f"LAKE_HOME={self.settings.home}".encode()
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if needle in (folder / "environ").read_bytes().split(b"\0") and int(folder.name) != os.getpid():
                    found.append(int(folder.name))
            except (FileNotFoundError, PermissionError, ProcessLookupError):
                continue
        return found

    def pid(self, service: str) -> int:
        """Process id of a service, from `status`."""
        states = json.loads(self.run("status", "--json"))
        return int(next(s["pid"] for s in states if s["service"] == service))


@contextmanager
def own_home(*start: str) -> Iterator[Home]:
    """A home in a new folder, begun with ``python -m local <start>`` (``demo``, or ``up``); afterwards none of its
    files and none of its processes are left."""
    folder = Path(tempfile.mkdtemp(prefix="lake-home-"))
    folder.chmod(0o755)  # the databases run as nobody, who must reach their files
    running = Home(folder)
    try:
        running.printed = running.run(*start, seconds=1200)
        yield running
    finally:
        running.run("down")
        unlike_aws = lines_unlike_aws(running.settings)
        kept_decisions.keep(running.settings)
        shutil.rmtree(folder)
    assert running.processes() == [], "`down` left processes"
    assert unlike_aws == []
