"""Targets run side by side, each tells how it ended, and none outlives an interrupt."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from local.commands import checks
from local.engines import java
from local.engines.waiting import wait_until
from local.settings import PYTHON_PATH, TOOLS


@pytest.fixture
def makefile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Makefile whose targets wait for each other, fail, or go on for ever."""
    timed = f"@{sys.executable} -m local.commands.checks --timed $@"
    (tmp_path / "Makefile").write_text(
        f"waits:\n\t{timed} sh -c 'while [ ! -e sign ]; do sleep 0.05; done; echo what it says'\n"
        f"fails:\n\t{timed} sh -c 'exit 3'\n"
        f"signs:\n\t{timed} touch sign\n"
        f"one two three four:\n\t{timed} sh -c 'touch pid-$$$$; exec sleep 600'\n"
    )
    monkeypatch.setattr(checks, "ROOT", tmp_path)
    monkeypatch.setenv("PYTHONPATH", PYTHON_PATH)
    return tmp_path


def run(folder: Path, *targets: str) -> subprocess.Popen[str]:
    """In a process of its own, which the test can interrupt, as if the folder were the project's."""
    code = (
        "import sys; from pathlib import Path; from local.commands import checks\n"
        "checks.ROOT = Path(sys.argv[1]); sys.exit(checks.run_targets(sys.argv[2:]))"
    )
    command = ["env", "--default-signal=INT", sys.executable, "-c", code, str(folder), *targets]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def test_each_runs_whole_and_the_summary_says_how_it_ended(makefile: Path) -> None:
    """The first waits for the last, so they run side by side; a failure in between keeps nothing from running."""
    with run(makefile, "waits", "fails", "signs") as running:
        out, _ = running.communicate(timeout=60)
    assert running.returncode == 1
    assert "what it says" in out.partition("== summary")[0]
    summary = [line.split()[:2] for line in out.partition("== summary")[2].splitlines() if line.strip()]
    assert summary[:3] == [["passed", "waits"], ["FAILED", "fails"], ["passed", "signs"]]
    with run(makefile, "signs", "waits") as running:
        running.communicate(timeout=60)
    assert running.returncode == 0


def test_a_command_finds_the_tools_and_the_right_java(makefile: Path) -> None:
    code = "import os; print('java', os.environ['JAVA_HOME']); print('path', os.environ['PATH'])"
    timed = f"@{sys.executable} -m local.commands.checks --timed $@"
    (makefile / "Makefile").write_text(f'seen:\n\t{timed} python -c "{code}"\n')
    with run(makefile, "seen") as running:
        out, _ = running.communicate(timeout=60)
    assert f"java {java.home()}\n" in out
    assert f"path {TOOLS}/airflow/bin:{java.home()}/bin:" in out


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_what_runs(makefile: Path, signum: signal.Signals) -> None:
    def pids() -> list[int]:
        return [int(path.name.removeprefix("pid-")) for path in makefile.glob("pid-*")]

    with run(makefile, "one", "two", "three", "four") as running:
        wait_until(lambda: len(pids()) == checks.JOBS, 30, "the targets are not at work")
        os.kill(running.pid, signum)
        running.communicate(timeout=60)
    assert running.returncode != 0
    assert [pid for pid in pids() if Path(f"/proc/{pid}").exists()] == []
    assert len(pids()) == checks.JOBS, "one more began after the interrupt"
