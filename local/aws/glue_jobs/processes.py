"""A run's processes: started in a session of their own, found again after a restart, ended to the last one."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil

# Leaves the exit code in a file, so that it is known also to a server that was not there when the run ended.
_WRAPPER = '"$@"; code=$?; echo $code > exit.new && mv exit.new exit'
GRACE_SECONDS = 10.0


def start(command: Sequence[str], environment: Mapping[str, str], work: Path) -> psutil.Process:
    """Run a command in ``work``, its output in the files stdout and stderr there."""
    with (work / "stdout").open("ab") as stdout, (work / "stderr").open("ab") as stderr:
        child = subprocess.Popen(
            ["/bin/sh", "-c", _WRAPPER, "sh", *command],
            env=dict(environment),
            cwd=work,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
        )
    return psutil.Process(child.pid)


def find(pid: int, started: float) -> psutil.Process | None:
    """The process of that id if it is still the same one, and alive."""
    try:
        process = psutil.Process(pid)
        same = abs(process.create_time() - started) < 1.0
    except psutil.NoSuchProcess:
        return None
    return process if same and process.is_running() and process.status() != psutil.STATUS_ZOMBIE else None


def wait(process: psutil.Process, seconds: float) -> bool:
    """Wait for the end of a process, at most so long; whether it has ended."""
    try:
        process.wait(seconds)
    except psutil.TimeoutExpired:
        return False
    return True


def exit_code(work: Path) -> int | None:
    """The exit code that a run's command left; None when it was killed."""
    path = work / "exit"
    return int(path.read_text()) if path.exists() else None


def end(leader: int) -> None:
    """End every process of a run's session: politely, then not."""
    for name, seconds in ((signal.SIGTERM, GRACE_SECONDS), (signal.SIGKILL, GRACE_SECONDS)):
        members = _members(leader)
        if not members:
            return
        for process in members:
            try:
                process.send_signal(name)
            except psutil.NoSuchProcess:
                continue
        psutil.wait_procs(members, timeout=seconds)


def _members(leader: int) -> list[psutil.Process]:
    members = []
    for process in psutil.process_iter():
        try:
            if os.getsid(process.pid) == leader and process.status() != psutil.STATUS_ZOMBIE:
                members.append(process)
        except (ProcessLookupError, psutil.NoSuchProcess):
            continue
    return members
