"""The Java 17 development kit that Spark and Trino run on. Standard library only."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

VERSION = 17


def _candidates() -> Iterator[Path]:
    if named := os.environ.get("JAVA_HOME"):
        yield Path(named)
    if compiler := shutil.which("javac"):
        yield Path(compiler).resolve().parent.parent
    yield from sorted(Path("/usr/lib/jvm").glob("*"))


def home() -> Path:
    """Its JAVA_HOME: the first of $JAVA_HOME, the path's javac, /usr/lib/jvm that is of VERSION; FileNotFoundError."""
    for folder in _candidates():
        release = folder / "release"
        if (folder / "bin" / "javac").exists() and release.exists():
            found = re.search(r'^JAVA_VERSION="(\d+)', release.read_text(), re.MULTILINE)
            if found and int(found[1]) == VERSION:
                return folder
    raise FileNotFoundError(
        f"no Java {VERSION} development kit found (JAVA_HOME, javac on the PATH, /usr/lib/jvm); "
        f"on Debian: apt-get install openjdk-{VERSION}-jdk-headless"
    )


def environment() -> dict[str, str]:
    """JAVA_HOME, and a PATH on which it comes first."""
    folder = home()
    return {"JAVA_HOME": str(folder), "PATH": f"{folder}/bin{os.pathsep}{os.environ.get('PATH', os.defpath)}"}
