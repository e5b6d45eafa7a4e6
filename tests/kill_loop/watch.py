"""Starts the reader in a process of its own, watches it and collects what it has seen."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Self

from local.settings import ROOT

LAST_LOOK_SECONDS = 300


class ReaderProcess:
    """Runs ``tests.kill_loop.reader`` on a home; ``environment`` is what ``make -s env`` exports."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self._folder = folder
        path = os.pathsep.join([str(ROOT), str(ROOT / "include")])
        with (folder / "reader.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.kill_loop.reader", str(folder)],
                cwd=ROOT,
                env={**os.environ, **environment, "PYTHONPATH": path},
                stdout=log,
                stderr=log,
            )

    def check(self) -> None:
        """Raise RuntimeError when the reader has ended although nobody asked it to."""
        if self._process.poll() is not None:
            raise RuntimeError(f"the reader ended with {self._process.returncode}, see {self._folder / 'reader.log'}")

    def summary(self) -> str:
        """One line on what the reader has seen so far."""
        if not (self._folder / "reader.json").exists():
            return "the reader is starting"
        seen = self._seen()
        return (
            f"{seen['events']:,} events in {seen['snapshots'].get('streaming_films', 0)} snapshots, {seen['polls']:,}"
            f" looks, torn {seen['torn']}"
        )

    def end(self) -> dict[str, Any]:
        """Let the reader look once more, and return all that it has seen."""
        (self._folder / "stop").touch()
        self._process.wait(LAST_LOOK_SECONDS)
        return self._seen()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def _seen(self) -> dict[str, Any]:
        seen: dict[str, Any] = json.loads((self._folder / "reader.json").read_text())
        return seen
