"""Files that are written whole or not at all, and that only their owner can read; digests of files; ends of logs.

Standard library only.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

LAST_LINES = 12  # of a log, in an error message


def write_atomically(path: Path, text: str) -> None:
    """Replace a file, mode 0600, so that a reader finds the old or the new content, also after a power cut."""
    temporary = _write_beside(path, text)
    temporary.replace(path)
    sync_folder(path.parent)


def once(path: Path, make: Callable[[], str]) -> str:
    """The content of ``path``; if there is no such file, ``make()`` makes it. Concurrent processes get the same."""
    with contextlib.suppress(FileNotFoundError):
        return path.read_text()
    temporary = _write_beside(path, make())
    with contextlib.suppress(FileExistsError):
        os.link(temporary, path)
    temporary.unlink()
    sync_folder(path.parent)
    return path.read_text()


def _write_beside(path: Path, text: str) -> Path:
    """A new file of mode 0600 in the same folder, its content on the disk."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    return Path(temporary)


def sync_folder(folder: Path) -> None:
    """Make the entries of a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def last_lines(log: Path) -> str:
    """The last lines of a log for an error message, after its path; "" when there are none."""
    text = log.read_text(errors="replace") if log.exists() else ""
    lines = [line for line in text.splitlines() if line.strip()][-LAST_LINES:]
    return "\n".join([f"the last lines of {log}:", *(f"    {line}" for line in lines)]) if lines else ""


def digest(paths: Iterable[Path]) -> str:
    """SHA-256 over the names and contents of files, and of all files below folders; bytecode is left out."""
    total = hashlib.sha256()
    for path in paths:
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file() and "__pycache__" not in file.parts:
                total.update(f"{file.relative_to(path.parent)}\0".encode())
                total.update(hashlib.sha256(file.read_bytes()).digest())
    return total.hexdigest()
