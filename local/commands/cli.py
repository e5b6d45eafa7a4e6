"""The command line of the home, which the Makefile's targets call: ``python -m local COMMAND``.

What fails ends with a message and exit code 1; Ctrl-C ends with 130 and leaves nothing running that was not before.
"""

from __future__ import annotations

import argparse
import importlib
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from local.settings import Settings
from local.supervision import control
from local.supervision.control import HomeError


def _status(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="a list for programs instead of a table")


def _history(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--months", type=_positive, default=3, help="how many whole months before this one")
    parser.add_argument(
        "--events", type=_positive, default=20_000, help="how many in the newest; a tenth less in each before"
    )
    parser.add_argument("--seed", type=int, default=1, help="another seed gives other events")


def _sql(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("statement", nargs="?", help="default: the variable LAKE_SQL, or the standard input")


def _run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("service", help="a service of local/home.py")
    parser.add_argument("--ready", action="store_true", help="only tell by the exit code whether it works")


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 on")
    return int(text)


@dataclass(frozen=True)
class Command:
    """``module`` of local.commands, imported when the command is chosen, has ``function(settings, options)``."""

    help: str
    module: str
    function: str = "main"
    arguments: Callable[[argparse.ArgumentParser], object] = lambda _: None
    takes_the_rest: bool = False  # the options are another program's: ``options.rest``


COMMANDS = {
    "demo": Command("start, deploy, load, stream, enrich, query: the whole journey, then its results", "demo"),
    "up": Command("start the home and deploy what is missing or has changed", "lifecycle", "up"),
    "down": Command("stop everything; what is stored stays", "lifecycle", "down"),
    "status": Command("services, their states, ports, memory and logs", "lifecycle", "status", _status),
    "clean": Command("stop everything and remove all that was installed and stored", "lifecycle", "clean"),
    "env": Command("print export lines that point AWS clients at the home", "lifecycle", "env"),
    "stream": Command("send live events; the options are those of python -m kdg", "stream", takes_the_rest=True),
    "history": Command("lay down past months of synthetic events", "history", "main", _history),
    "sql": Command("run one statement in Athena, print its rows and what it costs on AWS", "sql", "main", _sql),
    "airflow": Command("Airflow's own command line, for the home's Airflow", "airflow_command", takes_the_rest=True),
    "redrive": Command("send the CSV objects that could not be converted back to their queue", "redrive"),
    "startable": Command("check, before anything is installed, that the home could start", "lifecycle", "startable"),
    "pictures": Command("take the guides' pictures of Airflow's UI, after the demo", "pictures"),
    "prepare-trino": Command("make what Trino needs before it starts", "provision"),
    "deploy": Command("deploy the lake into the running home, options as on AWS", "provision", takes_the_rest=True),
    "destroy": Command("remove the lake from the running home, options as on AWS", "provision", takes_the_rest=True),
    "plan": Command("what a deployment would change, options as on AWS", "provision", takes_the_rest=True),
    "run": Command("one service in the foreground, for a container engine", "services", "run", _run),
    "supervise": Command("all services, until told to stop; `up` starts this", "services", "supervise"),
}


@contextmanager
def signals(handler: signal.Handlers | Callable[..., None]) -> Iterator[None]:
    """Handle SIGINT, SIGTERM and SIGHUP otherwise during the block; a signal that is ignored, as by nohup, stays so."""
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


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m local", description="The lake on one machine.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, command in COMMANDS.items():
        text, own_help = command.help, not command.takes_the_rest
        command.arguments(commands.add_parser(name, help=text, description=text, add_help=own_help))
    return parser


def _settings() -> Settings:
    """The home that the environment names, with the ports on which it runs; raises ValueError."""
    given = Settings.from_environment()
    settings = control.as_running(given)
    if settings != given and "LAKE_PORT" in os.environ:
        print(
            f"the home {settings.home} runs on the ports from {settings.port} on; "
            f"LAKE_PORT={given.port} will count when it is next started",
            file=sys.stderr,
        )
    return settings


def main(arguments: Sequence[str]) -> int:
    """Run one command; returns its exit code. Exits with 2 for a command line that is wrong."""
    options, rest = _parser().parse_known_args(arguments)
    command = COMMANDS[options.command]
    if rest and not command.takes_the_rest:
        _parser().error(f"unrecognized arguments: {' '.join(rest)}")
    options.rest = rest
    try:
        with signals(_interrupted):
            function = getattr(importlib.import_module(f"local.commands.{command.module}"), command.function)
            code: int = function(_settings(), options)
            return code
    except (HomeError, OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
