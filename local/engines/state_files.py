"""Files that survive a kill: either the old content or the new, never a half."""

from __future__ import annotations

import os
from pathlib import Path


def write_atomically(path: Path, content: str, mode: int = 0o600) -> None:
    """Write a file so that a reader, also after a power cut, finds the old or the new content."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f"{path.name}.new-{os.getpid()}")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
