"""Runs one command and guarantees that nothing of it outlives its supervisor. Standard library only.

``python -I -S local/supervision/reaper.py [--user NAME] [--stop SIGNAL] -- COMMAND...``, standard input a pipe from the
supervisor.

The reaper ends its command (by SIGNAL, TERM by default) when it gets TERM or INT itself, or when the pipe closes: the
supervisor is gone, killed or not. It is the subreaper of all that the command starts, so descendants in sessions of
their own are found and ended too. Its exit code is the command's; 128 + n when signal n killed it.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import os
import pwd
import select
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

GRACE_SECONDS = 25.0  # for an orderly end: the emulator saves its state, Airflow lets go of its tasks
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
_libc = ctypes.CDLL(None, use_errno=True)


def prctl(option: int, value: int) -> None:
    """Set one of the process's attributes, see prctl in section 2 of Linux's manual; raises OSError."""
    if _libc.prctl(option, value, 0, 0, 0):
        raise OSError(ctypes.get_errno(), f"prctl({option})")


def children_of(pid: int) -> list[int]:
    """Direct children of all threads of a process; none once it is gone."""
    found: list[int] = []
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            with contextlib.suppress(OSError):
                found += [int(child) for child in (task / "children").read_text().split()]
    return found


def descendants_of(pid: int) -> list[int]:
    """All that stem from a process, parents before children."""
    found: list[int] = []
    queue = children_of(pid)
    while queue:
        child = queue.pop()
        found.append(child)
        queue += children_of(child)
    return found


def _send(pids: list[int], signum: int) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signum)


def drop_rights(user: str) -> None:
    """Go on as this account, for good."""
    account = pwd.getpwnam(user)
    os.setgroups([])
    os.setgid(account.pw_gid)
    os.setuid(account.pw_uid)


def _start(command: list[str], user: str | None) -> int:
    """Fork the command into a session of its own and drop root's rights if a user is named; returns its pid."""
    me = os.getpid()
    pid = os.fork()
    if pid:
        return pid
    try:
        os.setsid()
        if user:
            drop_rights(user)
            os.environ["HOME"] = "/nonexistent"
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)  # after setuid, which clears it: the last resort if we are killed
        if os.getppid() != me:
            os._exit(1)
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
            signal.signal(signum, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        os.execvp(command[0], command)  # noqa: S606  the command is the supervisor's own
    except BaseException as error:  # noqa: BLE001  the forked child must never return
        print(f"{command[0]}: cannot start: {error}", file=sys.stderr, flush=True)
    os._exit(127)


class Reaper:
    """Watches one command until it and all its descendants have ended."""

    def __init__(self, command: list[str], user: str | None = None, stop: signal.Signals = signal.SIGTERM) -> None:
        self._stop = stop
        prctl(PR_SET_CHILD_SUBREAPER, 1)
        self._wake, self._waker = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(self._waker, warn_on_full_buffer=False)
        self._asked = False
        for signum in (signal.SIGTERM, signal.SIGINT):
            signal.signal(signum, self._ask)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self._code: int | None = None
        self._main = _start(command, user)

    def _ask(self, *_: object) -> None:
        self._asked = True

    def _reap(self) -> None:
        """Collect every ended child, adopted ones too."""
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if not pid:
                    return
                if pid == self._main:
                    code = os.waitstatus_to_exitcode(status)
                    self._code = code if code >= 0 else 128 - code

    def run(self) -> int:
        """Until the command ends or is told to; returns its exit code with nothing of it left."""
        while self._code is None and not self._asked:
            ready, _, _ = select.select([0, self._wake], [], [])
            if self._wake in ready:
                os.read(self._wake, 4096)
            if 0 in ready and not os.read(0, 1):
                self._asked = True
            self._reap()
        return self._end()

    def _end(self) -> int:
        """Ask the command, which ends its own children in its own order; then TERM to whatever is left, then KILL."""
        deadline = time.monotonic() + GRACE_SECONDS
        if self._code is None:
            _send([self._main], self._stop)
            self._wait(deadline, lambda: self._code is not None)
        _send(descendants_of(os.getpid()), signal.SIGTERM)
        self._wait(min(deadline, time.monotonic() + 5), lambda: False)
        while left := descendants_of(os.getpid()):
            _send(left, signal.SIGKILL)
            self._wait(time.monotonic() + 1, lambda: False)
        return 0 if self._code is None else self._code

    def _wait(self, deadline: float, enough: Callable[[], bool]) -> None:
        """Reap until ``enough()``, the deadline, or no descendant is left."""
        while True:
            self._reap()
            if enough() or not children_of(os.getpid()) or (seconds := deadline - time.monotonic()) <= 0:
                return
            select.select([self._wake], [], [], min(seconds, 0.2))
            with contextlib.suppress(BlockingIOError):
                os.read(self._wake, 4096)


def main() -> int:
    """Parse the arguments of the module's docstring and run the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--user")
    parser.add_argument("--stop", default="TERM", choices=("TERM", "INT"))
    parser.add_argument("command", nargs="+")
    arguments = parser.parse_args()
    return Reaper(arguments.command, arguments.user, signal.Signals[f"SIG{arguments.stop}"]).run()


if __name__ == "__main__":
    sys.exit(main())
