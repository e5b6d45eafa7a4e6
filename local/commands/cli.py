"""The home's command line, which the targets of the Makefile call.

What fails ends with a message and exit code 1; Ctrl-C ends with 130 and leaves nothing running that was not before.
"""

from __future__ import annotations

import importlib
import json
import os
import shlex
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from local.engines import mysql
from local.environment import endpoints
from local.settings import HOST, Settings
from local.supervision import control as home
from local.supervision import processes
from local.supervision.control import HomeError
from local.supervision.units import DONE, READY, SETTLED

if TYPE_CHECKING:
    from local.commands.progress import Steps


def up(settings: Settings, steps: Steps) -> None:
    """Start the home and deploy what is missing or has changed; stops again what it started if that fails.

    Raises HomeError with what failed and the last lines of its log.
    """
    ours = home.supervisor(settings) is None
    try:
        with steps.step("start the home") as tick:
            home.begin(settings)
            seen: set[str] = set()

            def look(state: home.State) -> None:
                for service in state["services"]:
                    if ours and service["state"] in (READY, DONE) and service["service"] not in seen:
                        seen.add(service["service"])
                        steps.note(service["service"], service["seconds"])
                busy = [s["service"] for s in state["services"] if s["state"] not in SETTLED]
                tick(f"waiting for {', '.join(busy)}" if busy else "")

            home.wait(settings, look)
    except BaseException:
        if ours:
            with _signals(signal.SIG_IGN):  # what was begun is stopped in good order
                home.stop(settings)
        raise


def _up(settings: Settings, _: Sequence[str]) -> int:
    from rich.console import Console  # noqa: PLC0415

    from local.commands.progress import Steps  # noqa: PLC0415

    with Steps(Console()) as steps:
        up(settings, steps)
    print(f'Airflow: http://{HOST}:{settings.airflow_port}   clients: eval "$(make -s env)"   stop: make down')
    return 0


def _down(settings: Settings, _: Sequence[str]) -> int:
    print("stopped" if home.stop(settings) else "nothing was running")
    return 0


def _status(settings: Settings, arguments: Sequence[str]) -> int:
    """A table, or with ``--json`` a list for programs."""
    pid = home.supervisor(settings)
    state = home.read_state(settings) if pid else None
    rows = [{**service, "memory": _memory(service["pid"])} for service in state["services"]] if state else []
    if "--json" in arguments:
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


def _memory(pid: int) -> int:
    return processes.memory(pid) if pid else 0


def _clean(settings: Settings, _: Sequence[str]) -> int:
    removed = home.clean(settings)
    print("\n".join(f"removed {path}" for path in removed) or "nothing to remove")
    return 0


def _env(settings: Settings, _: Sequence[str]) -> int:
    """Only export lines: what points any client at the home, under the user lake-developer."""
    for name, value in client_environment(settings).items():
        print(f"export {name}={shlex.quote(value)}")
    return 0


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
        "LAKE_HOME": str(settings.home),
        "LAKE_PORT": str(settings.port),
        "LAKE_MYSQL_CA": str(mysql.ca_path(settings)),
        "MYSQL_HOST": database["host"],
        "MYSQL_PORT": str(database["port"]),
        "MYSQL_USER": database["username"],
        "MYSQL_PASSWORD": database["password"],
        "MYSQL_DATABASE": database["dbname"],
        "MYSQL_SSL_CA": str(mysql.ca_path(settings)),
        "AIRFLOW_URL": f"http://{HOST}:{settings.airflow_port}",
    }


def _module(name: str) -> Callable[[Settings, Sequence[str]], int]:
    """A command that is a module of its own, ``main(argv)``."""

    def run(_: Settings, arguments: Sequence[str]) -> int:
        code: int = importlib.import_module(name).main(list(arguments))
        return code

    return run


def _stopped_if_interrupted(
    command: Callable[[Settings, Sequence[str]], int],
) -> Callable[[Settings, Sequence[str]], int]:
    """A command that starts the home: interrupted later on, it stops the home again unless that ran before."""

    def run(settings: Settings, arguments: Sequence[str]) -> int:
        ours = home.supervisor(settings) is None
        try:
            return command(settings, arguments)
        except KeyboardInterrupt:
            if ours:
                with _signals(signal.SIG_IGN):
                    home.stop(settings)
            raise

    return run


def _checks(what: str) -> int:
    from local.commands import checks  # noqa: PLC0415

    return checks.main([what])


COMMANDS: dict[str, Callable[[Settings, Sequence[str]], int]] = {
    "up": _up,
    "down": _down,
    "status": _status,
    "clean": _clean,
    "env": _env,
    "demo": _stopped_if_interrupted(_module("local.commands.demo")),
    "stream": _module("local.commands.stream"),
    "history": _module("local.commands.history"),
    "redrive": _module("local.commands.redrive"),
    "test": lambda _settings, _arguments: _checks("test"),
    "lint": lambda _settings, _arguments: _checks("lint"),
    "scan": _module("infrastructure.scanners.scan"),
}


@contextmanager
def _signals(handler: signal.Handlers | Callable[..., None]) -> Iterator[None]:
    """Meanwhile another handler for what asks a program to end; what is ignored, as under nohup, stays ignored."""
    before = {signum: signal.getsignal(signum) for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    for signum, present in before.items():
        if present != signal.SIG_IGN:
            signal.signal(signum, handler)
    try:
        yield
    finally:
        for signum, present in before.items():
            signal.signal(signum, present)


def _interrupted(*_: object) -> None:
    raise KeyboardInterrupt


def main(arguments: Sequence[str]) -> int:
    """Run one command; returns its exit code."""
    if not arguments or arguments[0] not in COMMANDS:
        print(f"usage: python -m local {{{'|'.join(COMMANDS)}}}", file=sys.stderr)
        return 2
    try:
        with _signals(_interrupted):
            return COMMANDS[arguments[0]](Settings.from_environment(), arguments[1:])
    except (HomeError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
