"""Secrets of one home: made once, kept in files that only their owner can read. Standard library only."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path


def write(path: Path, text: str) -> None:
    """Replace a file of mode 0600 in one step."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    Path(temporary).replace(path)


def once(path: Path, make: Callable[[], str]) -> str:
    """The secret in ``path``, made by ``make()`` if there is none; two processes at once get the same."""
    with contextlib.suppress(FileNotFoundError):
        return path.read_text()
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(descriptor, "w") as file:
        file.write(make())
    with contextlib.suppress(FileExistsError):
        os.link(temporary, path)
    Path(temporary).unlink()
    return path.read_text()
