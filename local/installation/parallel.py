"""Steps of set-up that run side by side, with their progress. Standard library only, any Python 3."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

LAST_LINES = 12


class SetupError(Exception):
    """Something is missing that set-up cannot get; the message says what to do."""


@dataclass
class Step:
    """One thing to install, if ``needed()``, by ``run(log)``, once the steps named in ``after`` are done."""

    name: str
    needed: Callable[[], bool]
    run: Callable[[Path], None]
    after: tuple[str, ...] = ()
    state: str = "waiting"
    seconds: float = 0.0
    error: str = ""
    done: threading.Event = field(default_factory=threading.Event)


class Display:
    """One line a finished step; on a terminal also a line that says what is going on."""

    def __init__(self, steps: list[Step]) -> None:
        self.steps, self.live, self.began = steps, sys.stdout.isatty(), time.monotonic()
        self.said = self.began

    def line(self, text: str) -> None:
        """Print above the live line."""
        print(f"\r\033[K{text}" if self.live else text, flush=True)

    def close(self) -> None:
        """Take the live line away."""
        if self.live:
            print("\r\033[K", end="", flush=True)

    def tick(self) -> None:
        """Say which steps are running: at every call on a terminal, else every ten seconds."""
        now = time.monotonic()
        running = ", ".join(step.name for step in self.steps if step.state == "running")
        if self.live:
            print(
                f"\r\033[K  {running}  {now - self.began:.0f} s"[: shutil.get_terminal_size().columns],
                end="",
                flush=True,
            )
        elif now - self.said > 10:
            self.said = now
            print(f"  {running}  {now - self.began:.0f} s", flush=True)


def perform(wanted: list[Step], logs: Path) -> None:
    """Run steps, each as soon as those that it needs are done; raises SetupError with each failed log's last lines."""
    display = Display(wanted)
    by_name = {step.name: step for step in wanted}

    def perform_one(step: Step) -> None:
        needs = [by_name[name] for name in step.after if name in by_name]
        for need in needs:
            need.done.wait()
        if any(need.error for need in needs):
            step.error = "not tried"
        else:
            step.state, began = "running", time.monotonic()
            log = logs / f"setup-{step.name}.log"
            log.unlink(missing_ok=True)
            log.touch()
            try:
                step.run(log)
                step.seconds = time.monotonic() - began
            except Exception as error:  # noqa: BLE001  told below, whatever it is
                tail = "\n".join(f"    {line}" for line in log.read_text(errors="replace").splitlines()[-LAST_LINES:])
                step.error = f"{step.name}: {error}\nthe last lines of {log}:\n{tail}"
        step.state = "failed" if step.error else "done"
        step.done.set()

    threads = [threading.Thread(target=perform_one, args=(step,), daemon=True) for step in wanted]
    for thread in threads:
        thread.start()
    told: set[str] = set()
    while len(told) < len(wanted):
        for step in wanted:
            if step.done.is_set() and step.name not in told:
                told.add(step.name)
                display.line(f"✗ {step.name}" if step.error else f"✓ {step.name}  {step.seconds:.1f} s")
        display.tick()
        time.sleep(0.1)
    display.close()
    if errors := [step.error for step in wanted if step.error and step.error != "not tried"]:
        raise SetupError("\n".join(errors))


def run(command: list[str], log: Path) -> None:
    """A command whose output goes to a log; raises CalledProcessError."""
    # Without bytecode each of Airflow's processes would compile its thousands of modules anew.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    with log.open("ab") as output:
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment)
