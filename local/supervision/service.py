"""What the supervisor knows of a service: how it is started, what it needs first, and how it shows that it works."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from local.settings import PYTHON_PATH, Settings

# Variables of the caller's own environment that services get, too
INHERITED = ("HOME", "LAKE_LISTEN", "LANG", "LC_ALL", "PATH", "SSL_CERT_FILE", "TZ", "USER")


@dataclass(frozen=True)
class Service:
    """A process that runs for good, or, as a step (``once``), to its end.

    ``command`` and ``environment`` are evaluated at each start, after everything in ``after`` is ready. ``ready`` gets
    the time of the start; while there is no answer it may raise OSError, ValueError or KeyError.
    """

    name: str
    command: Callable[[], list[str]]
    after: tuple[str, ...] = ()
    port: int | None = None  # on which the service itself, and no other process, must listen
    prepare: list[str] | None = None  # run to its end before each start
    environment: Callable[[], dict[str, str]] = dict
    ready: Callable[[datetime], bool] = lambda _: True
    seconds: float = 90  # until it must be ready, or a step at its end
    user: str | None = None
    stop: str = "TERM"
    once: bool = False
    folder: Path | None = None  # of its data, which is closed to other accounts


def environment_of(settings: Settings, service: Service) -> dict[str, str]:
    """Its own environment, a little of the caller's, and which home and service it is, by which it can be found."""
    return {
        **{name: os.environ[name] for name in INHERITED if name in os.environ},
        "LAKE_HOME": str(settings.home),
        "LAKE_PORT": str(settings.port),
        "PYTHONPATH": PYTHON_PATH,
        "PYTHONUNBUFFERED": "1",
        "TMPDIR": str(settings.home / "tmp"),
        **service.environment(),
        "LAKE_SERVICE": service.name,
    }


def make_folders(settings: Settings, services: Iterable[Service]) -> None:
    """Make the home's folders; those of secrets and of services' data are closed to other accounts."""
    for folder in (settings.logs, settings.data, settings.home / "tmp"):
        folder.mkdir(parents=True, exist_ok=True)
    for folder in (settings.secrets, *(service.folder for service in services if service.folder)):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
