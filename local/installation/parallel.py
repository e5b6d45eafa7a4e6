"""Steps of set-up that run side by side. Standard library only, any Python 3."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from local.engines.files import last_lines
from local.installation.progress import Progress


class SetupError(Exception):
    """Something is missing that set-up cannot get; the message says what to do."""


@dataclass
class Step:
    """One thing to install, if ``needed()``, by ``run(log)``, once the steps named in ``after`` are done."""

    name: str
    needed: Callable[[], bool]
    run: Callable[[Path], None]
    after: tuple[str, ...] = ()
    failed: bool = False
    done: threading.Event = field(default_factory=threading.Event)


def perform(wanted: list[Step], logs: Path) -> None:
    """Run steps, each as soon as those that it needs are done; raises SetupError with the last lines of failed logs."""
    by_name = {step.name: step for step in wanted}
    errors: list[str] = []

    def perform_one(step: Step, progress: Progress) -> None:
        needs = [by_name[name] for name in step.after if name in by_name]
        for need in needs:
            need.done.wait()
        step.failed = any(need.failed for need in needs)
        if not step.failed:
            log = logs / f"setup-{step.name}.log"
            log.unlink(missing_ok=True)
            log.touch()
            try:
                with progress.step(step.name):
                    step.run(log)
            except Exception as error:  # noqa: BLE001  reported below
                step.failed = True
                errors.append(f"{step.name}: {error}\n{last_lines(log)}".rstrip())
        step.done.set()

    with Progress() as progress:
        threads = [threading.Thread(target=perform_one, args=(step, progress), daemon=True) for step in wanted]
        for thread in threads:
            thread.start()
        for thread in threads:
            while thread.is_alive():
                thread.join(0.2)  # so that Ctrl-C is noticed
    if errors:
        raise SetupError("\n".join(errors))


def run(command: list[str], log: Path) -> None:
    """A command whose output goes to a log; raises CalledProcessError."""
    # Without bytecode each of Airflow's processes would compile its thousands of modules again.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    with log.open("ab") as output:
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment)
