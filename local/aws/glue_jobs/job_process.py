"""The processes of a run: started in a session of their own, found again after a restart, and all ended."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import psutil

# Writes the exit code to a file, so that a server that was restarted in the meantime can read it.
_WRAPPER = '"$@"; code=$?; echo $code > exit.new && mv exit.new exit'
GRACE_SECONDS = 10.0


def start(command: Sequence[str], environment: Mapping[str, str], work: Path) -> psutil.Process:
    """Run a command in the folder ``work``, with its output in the files stdout and stderr there."""
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
    """The process with this id, if it is alive and the same one that was started then."""
    try:
        process = psutil.Process(pid)
        same = abs(process.create_time() - started) < 1.0
    except psutil.NoSuchProcess:
        return None
    return process if same and process.is_running() and process.status() != psutil.STATUS_ZOMBIE else None


def wait(process: psutil.Process, seconds: float) -> bool:
    """Wait at most ``seconds`` for the end of a process; returns whether it has ended."""
    ended, _ = psutil.wait_procs([process], timeout=seconds)
    return bool(ended)


def exit_code(work: Path) -> int | None:
    """The exit code of a run's command; None when it was killed."""
    path = work / "exit"
    return int(path.read_text()) if path.exists() else None


def end(leader: int) -> None:
    """End every process of a run's session, by SIGTERM and after GRACE_SECONDS by SIGKILL."""
    for name, seconds in ((signal.SIGTERM, GRACE_SECONDS), (signal.SIGKILL, GRACE_SECONDS)):
        members = _session_members(leader)
        if not members:
            return
        for process in members:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(name)
        psutil.wait_procs(members, timeout=seconds)


def _session_members(leader: int) -> list[psutil.Process]:
    members = []
    for process in psutil.process_iter():
        with suppress(ProcessLookupError, psutil.NoSuchProcess):
            if os.getsid(process.pid) == leader and process.status() != psutil.STATUS_ZOMBIE:
                members.append(process)
    return members
