"""Checks the shell commands in guides: each check yields the problems of a command.

Nothing is run: make targets are compared with the Makefile, options of our programs and of Airflow with their own
parsers, AWS commands with botocore's models. A program that is not known here is a problem.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import io
import itertools
import re
import runpy
import shlex
import tomllib
import warnings
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

from local.commands.cli import COMMANDS as LOCAL_COMMANDS
from local.settings import ROOT
from tests.docs import aws_cli, docker, known
from tests.docs.shell import assignments, commands

OF_THE_HOME = {"LAKE_HOME", "LAKE_PORT", "SAKILA_DIR"}  # every target takes them; the Makefile's head says so
SYSTEM = {"awk", "cd", "date", "echo", "eval", "git", "grep", "mkdir", "openssl", "sed", "sleep", "unset"}
# Variables of the shell and of AWS's SDKs (AWS SDKs and Tools Reference Guide, "Environment variables list").
STANDARD = {
    "HOME",
    "PWD",
    "AWS_PROFILE",
    "AWS_REGION",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
}
PLACEHOLDERS = re.compile(r"<[^>]*>|\$\w+|\$\{\w+\}")


def problems(text: str, variables: set[str] | None = None) -> Iterator[str]:
    """All problems of some shell text. ``variables``: those that are set before it; those that it sets are added."""
    given = variables if variables is not None else set()
    try:
        found = list(commands(text))
    except ValueError as error:
        yield f"no shell command: {error}"
        return
    for words in found:
        for word in words:
            if made := re.match(r"([A-Za-z_]\w*)=", word):
                given.add(made[1])
    for words in found:
        yield from (f"{shlex.join(words)[:100]}: {one}" for one in _problems(words, given))


def _problems(words: list[str], given: set[str]) -> Iterator[str]:
    for word in words:
        for name in re.findall(r"\$\{?([A-Za-z_]\w*)", word):
            if name not in given and not _is_variable(name):
                yield f"nobody sets ${name}"
        for name in re.findall(r"sakila-streams-[\w$<{][\w$<>{}-]*", word):
            if not known.is_resource(name):
                yield f"there is no resource {name}"
    made, rest = assignments(words)
    if not rest:
        return
    program = rest[0].removeprefix(".local/tools/airflow/bin/")
    if rest[0] != program and not (ROOT / rest[0]).exists():
        yield f"no such program {rest[0]}"
    yield from (f"unknown variable {name}" for name in made if not _is_variable(name))
    check = {
        "make": _make,
        "aws": aws_cli.problems,
        "python": _python,
        "airflow": _airflow,
        "pytest": _pytest,
        "pip": _pip,
        "curl": _curl,
    }.get(program)
    if check:
        yield from check(rest[1:])
    elif program == "docker":
        yield from docker.problems(rest[1:], lambda inner: _problems(inner, given))
    elif program == "export":
        yield from (f"unknown variable {one}" for one in assignments(rest[1:])[0] if not _is_variable(one))
    elif program not in SYSTEM and rest[0] == program:
        yield f"unknown program {program}"


def _is_variable(name: str) -> bool:
    """Whether some program reads an environment variable."""
    return name in STANDARD or known.in_source(name)


def _make(arguments: list[str]) -> Iterator[str]:
    targets = [one for one in arguments if "=" not in one and not one.startswith("-")]
    for target in targets:
        if target not in known.makefile():
            yield f"the Makefile has no target {target}"
    allowed = OF_THE_HOME.union(*(known.makefile().get(one, set()) for one in targets))
    for name in assignments([one for one in arguments if "=" in one])[0]:
        if name not in allowed:
            yield f"{' '.join(targets)} reads no {name}"
    for one in arguments:
        if one.startswith("ARGS="):
            yield from _airflow(shlex.split(one.removeprefix("ARGS=")))
    if unknown := [one for one in arguments if one.startswith("-") and one not in ("-s", "-n")]:
        yield f"unknown option {unknown[0]}"


class _Parsed(Exception):
    """A program's arguments were understood."""


def _python(arguments: list[str]) -> Iterator[str]:
    if arguments[:1] == ["-c"]:
        try:
            compile(arguments[1], "guide", "exec")
        except SyntaxError as error:
            yield f"no Python: {error}"
        return
    if arguments[:1] != ["-m"]:
        yield "neither -m nor -c"
        return
    module, rest = arguments[1], [PLACEHOLDERS.sub("1", one) for one in arguments[2:]]
    if module == "pytest":
        yield from _pytest(rest)
    elif module == "local":
        if not rest or rest[0] not in LOCAL_COMMANDS:
            yield f"python -m local knows no {' '.join(rest)}"
    elif (spec := _spec(module)) is None:
        yield f"there is no module {module}"
    elif "parse_args(" not in Path(str(spec)).read_text():  # its arguments can only be files
        for one in arguments[2:]:
            if not re.fullmatch(r"\[.*\]|<.*>", one) and not (ROOT / one).exists():
                yield f"python -m {module}: there is no {one}"
    else:
        yield from _parses(module, rest)


def _spec(module: str) -> str | None:
    """The file that ``python -m module`` runs."""
    with contextlib.suppress(ModuleNotFoundError):
        spec = importlib.util.find_spec(module)
        if spec and spec.submodule_search_locations is not None:
            spec = importlib.util.find_spec(f"{module}.__main__")
        return spec.origin if spec else None
    return None


def _parses(module: str, arguments: list[str]) -> Iterator[str]:
    real = argparse.ArgumentParser.parse_args

    def parse(self: argparse.ArgumentParser, args: list[str] | None = None, _: object = None) -> None:
        real(self, args)
        raise _Parsed

    errors = io.StringIO()
    with (
        mock.patch.object(argparse.ArgumentParser, "parse_args", parse),
        mock.patch("sys.argv", [module, *arguments]),
        contextlib.redirect_stderr(errors),
        contextlib.redirect_stdout(io.StringIO()),
        warnings.catch_warnings(
            action="ignore", category=RuntimeWarning
        ),  # the module may have been imported by a test before
    ):
        try:
            runpy.run_module(module, run_name="__main__", alter_sys=False)
        except _Parsed:
            return
        except SystemExit:
            pass
    yield errors.getvalue().strip().rpartition("\n")[2] or f"{module} did not parse its arguments"


def _airflow(arguments: list[str]) -> Iterator[str]:
    from airflow.cli.cli_parser import get_parser

    errors = io.StringIO()
    with contextlib.redirect_stderr(errors), contextlib.redirect_stdout(io.StringIO()):
        try:
            parsed = get_parser().parse_args([PLACEHOLDERS.sub("1", one) for one in arguments])
        except SystemExit:
            yield f"airflow: {' '.join(errors.getvalue().split())[-200:]}"
            return
    dag = getattr(parsed, "dag_id", None)
    if dag and dag not in known.dags():
        yield f"there is no DAG {dag}"


def _pytest(arguments: list[str]) -> Iterator[str]:
    options = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]
    marks = {re.match(r"\w+", one)[0] for one in options["markers"]}  # type: ignore[index]
    for index, one in enumerate(arguments):
        if one == "-m":
            used = set(re.findall(r"\w+", arguments[index + 1])) - {"not", "and", "or"}
            yield from (f"pytest has no mark {mark}" for mark in sorted(used - marks))
        elif "/" in one and not (ROOT / one).exists():
            yield f"there is no {one}"


def _pip(arguments: list[str]) -> Iterator[str]:
    for option, one in itertools.pairwise(arguments):
        if option in ("-r", "-c") and not (ROOT / one).exists():
            yield f"there is no {one}"


def _curl(arguments: list[str]) -> Iterator[str]:
    """Check requests to Airflow's API: its own description must have path and method, and the DAG must exist."""
    method = next((arguments[i + 1] for i, one in enumerate(arguments) if one in ("-X", "--request")), None)
    for one in arguments:
        found = re.search(r"(/api/v2/.*)$", one.partition("?")[0])
        if not found:
            continue
        path = found[1]
        routes = {
            route: methods
            for route, methods in known.airflow_routes().items()
            if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", route), path)
        }
        if not routes:
            yield f"Airflow has no {path}"
        elif method and not any(method in methods for methods in routes.values()):
            yield f"Airflow takes no {method} {path}"
        dag = re.search(r"/dags/([\w$]+)", path)
        if dag and not dag[1].startswith("$") and dag[1] not in known.dags():
            yield f"there is no DAG {dag[1]}"
