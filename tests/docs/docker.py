"""Checks ``docker compose`` in guides: commands and options by Compose's own help, services by the Compose file."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterator
from functools import cache

from tests.support.compose_file import PROGRAMS, services

Check = Callable[[list[str]], Iterator[str]]


@cache
def _options(command: str) -> frozenset[str] | None:
    """The options of a command; None when Compose has no such command."""
    shown = subprocess.run(
        [PROGRAMS / "docker-compose", command, "--help"], check=False, text=True, capture_output=True
    )
    return None if shown.returncode else frozenset(re.findall(r"(?<![\w-])--?[a-zA-Z][\w-]*", shown.stdout))


def problems(arguments: list[str], inner: Check) -> Iterator[str]:
    """The problems of ``docker ARGUMENTS``; ``inner`` checks the command that ``exec`` is given."""
    if arguments[:1] != ["compose"] or len(arguments) < 2 or (known := _options(arguments[1])) is None:
        yield f"docker has no {' '.join(arguments[:2])}"
        return
    command, rest = arguments[1], arguments[2:]
    options = [one for one in rest if one.startswith("-")]
    plain = [one for one in rest if not one.startswith("-")]
    if command == "exec":
        start = rest.index(plain[0])
        options, plain = rest[:start], plain[:1]
        yield from inner(rest[start + 1 :])
    elif command == "cp":
        plain = [one.partition(":")[0] for one in plain if ":" in one]
    yield from (f"docker compose {command} takes no {one}" for one in options if one.partition("=")[0] not in known)
    yield from (f"there is no service {one}" for one in plain if one not in services())
