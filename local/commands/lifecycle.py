"""``up``, ``down``, ``status``, ``clean`` and ``env``: a home's life, and what points clients at it."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

from datalake.names import Lake
from local import home
from local.commands.cli import signals
from local.engines import mysql
from local.environment import endpoints
from local.installation.progress import Progress
from local.settings import ENVIRONMENT, SUFFIX, Settings
from local.supervision import control, processes
from local.supervision.control import HomeError
from local.supervision.units import DONE, READY, SETTLED

LAKE = Lake(ENVIRONMENT, SUFFIX)


@contextmanager
def stopped_after(error: type[BaseException], settings: Settings) -> Iterator[bool]:
    """After such an exception in the body, stop the home unless it ran before; gives whether it did not run."""
    ours = control.supervisor_pid(settings) is None
    try:
        yield ours
    except error:
        if ours:
            with signals(signal.SIG_IGN):  # so that what was begun is stopped in good order
                control.stop(settings)
        raise


def start(settings: Settings, progress: Progress) -> None:
    """Start the home and deploy what is missing or has changed; stops again what it started if that fails.

    Raises HomeError with what failed and the last lines of its log.
    """
    with stopped_after(BaseException, settings) as ours, progress.step("start the home") as tick:
        control.start(settings, home.ports(settings))
        seen: set[str] = set()

        def look(state: control.State) -> None:
            for service in state["services"]:
                if ours and service["state"] in (READY, DONE) and service["service"] not in seen:
                    seen.add(service["service"])
                    progress.done(service["service"], service["seconds"])
            busy = [s["service"] for s in state["services"] if s["state"] not in SETTLED]
            tick(f"waiting for {', '.join(busy)}" if busy else "")

        control.wait(settings, look)


def startable(settings: Settings, _: argparse.Namespace) -> int:
    """Whether the home runs or could start: ``make up`` asks this first, because set-up may take minutes."""
    if not control.supervisor_pid(settings):
        control.check_startable(settings, home.ports(settings))
    return 0


def up(settings: Settings, _: argparse.Namespace) -> int:
    """Start the home and say where it is."""
    with Progress() as progress:
        start(settings, progress)
    print(f'Airflow: {settings.airflow_url}   clients: eval "$(make -s env)"   stop: make down')
    return 0


def down(settings: Settings, _: argparse.Namespace) -> int:
    """Stop the home."""
    print("stopped" if control.stop(settings) else "nothing was running")
    return 0


def status(settings: Settings, options: argparse.Namespace) -> int:
    """A table of the services, or with ``--json`` a list for programs."""
    pid = control.supervisor_pid(settings)
    state = control.read_state(settings) if pid else None
    services = state["services"] if state else []
    rows = [{**one, "memory": processes.memory(one["pid"]) if one["pid"] else 0} for one in services]
    if options.json:
        print(json.dumps(rows, indent=1))
        return 0
    if not pid:
        print(f"not running (home {settings.home}); start it with make up")
        return 0
    table = [("service", "state", "pid", "port", "memory", "restarts", "since", "log")]
    table += [
        (
            row["service"],
            row["state"],
            str(row["pid"] or ""),
            str(row["port"] or ""),
            f"{row['memory'] / 1e6:.0f} MB" if row["memory"] else "",
            str(row["restarts"]),
            time.strftime("%H:%M:%S", time.localtime(row["since"])),
            os.path.relpath(row["log"], settings.home),
        )
        for row in rows
    ]
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    print(f"home {settings.home}, supervisor pid {pid}, {processes.memory(pid) / 1e6:.0f} MB in all (PSS)")
    for line in table:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
    for row in rows:
        if row["message"]:
            print(f"{row['service']}: {row['message']}")
    return 0


def clean(settings: Settings, _: argparse.Namespace) -> int:
    """Stop the home and remove it with all that was installed."""
    removed = control.clean(settings)
    print("\n".join(f"removed {path}" for path in removed) or "nothing to remove")
    return 0


def env(settings: Settings, _: argparse.Namespace) -> int:
    """Only export lines: what points any client at the home, under the user lake-developer."""
    if not control.supervisor_pid(settings) and not control.served_by(settings):  # in containers LAKE_HOME is another
        raise HomeError(f"the home {settings.home} is not running: start it with make up")
    for name, value in client_environment(settings).items():
        print(f"export {name}={shlex.quote(value)}")
    return 0


def chosen_lake(settings: Settings) -> Lake:
    """The lake that LAKE_ENVIRONMENT names, on AWS or here; without it the running home, as its developer.

    Afterwards this process's AWS clients reach that lake. Raises HomeError when the home does not run.
    """
    if "LAKE_ENVIRONMENT" not in os.environ:
        control.check_up(settings)
        for name in [name for name in os.environ if name.startswith("AWS_")]:  # keys or a session of the caller's own
            del os.environ[name]
        os.environ.update(client_environment(settings))
    try:
        return Lake.from_environment()
    except KeyError as error:
        raise HomeError(f"LAKE_ENVIRONMENT is set and {error.args[0]} is not; a lake on AWS needs both") from error


def client_environment(settings: Settings) -> dict[str, str]:
    """Variables for clients; raises HomeError before the first deployment."""
    try:
        keys = json.loads((settings.secrets / "developer.json").read_text())
        database = json.loads((settings.secrets / "mysql.json").read_text())
    except FileNotFoundError as error:
        raise HomeError(f"{error.filename} is not there yet: run make up first") from error
    return {
        **endpoints(settings),
        "AWS_ACCESS_KEY_ID": keys["access_key"],
        "AWS_SECRET_ACCESS_KEY": keys["secret_key"],
        "LAKE_LANDING_BUCKET": LAKE.landing_bucket,
        "LAKE_CLEAN_BUCKET": LAKE.clean_bucket,
        "LAKE_CURATED_BUCKET": LAKE.curated_bucket,
        "LAKE_RESULTS_BUCKET": LAKE.results_bucket,
        "LAKE_ARTIFACTS_BUCKET": LAKE.artifacts_bucket,
        "LAKE_WORKGROUP": LAKE.workgroup,
        "LAKE_HOME": str(settings.home),
        "LAKE_PORT": str(settings.port),
        "LAKE_MYSQL_CA": str(mysql.ca_path(settings)),
        "MYSQL_HOST": database["host"],
        "MYSQL_PORT": str(database["port"]),
        "MYSQL_USER": database["username"],
        "MYSQL_PASSWORD": database["password"],
        "MYSQL_DATABASE": database["dbname"],
        "MYSQL_SSL_CA": str(mysql.ca_path(settings)),
        "AIRFLOW_URL": settings.airflow_url,
    }
