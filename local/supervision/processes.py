"""What runs on this machine, read from /proc: who listens on a port, what a process tree weighs.

Standard library only.
"""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path

from local.engines.waiting import wait_until
from local.supervision.reaper import descendants_of

LISTEN = "0A"


def _listening_sockets(port: int) -> set[str]:
    """Socket inodes that listen on a TCP port of any address."""
    inodes: set[str] = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with contextlib.suppress(OSError):
            for line in Path(table).read_text().splitlines()[1:]:
                fields = line.split()
                if fields[3] == LISTEN and int(fields[1].rpartition(":")[2], 16) == port:
                    inodes.add(fields[9])
    return inodes


def _holds(pid: int, inodes: set[str]) -> bool:
    with contextlib.suppress(OSError):
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                target = str(descriptor.readlink())
                if target.startswith("socket:[") and target[8:-1] in inodes:
                    return True
    return False


def listens(tree: int, port: int) -> bool:
    """Whether ``tree`` or one of its descendants listens on ``port``, so that no other process can answer there."""
    inodes = _listening_sockets(port)
    return bool(inodes) and any(_holds(pid, inodes) for pid in [tree, *descendants_of(tree)])


def holder(port: int) -> str | None:
    """``pid N (command)`` of what listens on a port; None when it is free."""
    inodes = _listening_sockets(port)
    if not inodes:
        return None
    for pid in all_pids():
        if _holds(pid, inodes):
            return f"pid {pid} ({command_line(pid)})"
    return "a process of another user"


def all_pids() -> list[int]:
    """Every process id."""
    return [int(folder.name) for folder in Path("/proc").iterdir() if folder.name.isdigit()]


def command_line(pid: int) -> str:
    """A process's command, shortened to 100 characters; empty when it is gone."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()[:100]
    return ""


def of_home(home: str, service: str | None = None) -> list[int]:
    """Processes that a home's supervisor started, of one service or of all, known by their environment."""
    wanted = {f"LAKE_HOME={home}".encode()} | ({f"LAKE_SERVICE={service}".encode()} if service else set())
    found = []
    for pid in all_pids():
        with contextlib.suppress(OSError):
            variables = set(Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"))
            if wanted <= variables and any(v.startswith(b"LAKE_SERVICE=") for v in variables) and pid != os.getpid():
                found.append(pid)
    return found


def end(pids: list[int], grace: float = 5.0) -> None:
    """TERM to the processes, KILL to those that are still there after ``grace`` seconds."""
    for signum, seconds in ((signal.SIGTERM, grace), (signal.SIGKILL, grace)):
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signum)
        pids = wait_for_end(pids, seconds)


def wait_for_end(pids: list[int], seconds: float) -> list[int]:
    """Wait until the processes have ended; returns those that have not after ``seconds``."""
    with contextlib.suppress(TimeoutError):
        wait_until(lambda: not any(map(lives, pids)), seconds, "they have not ended", pause=0.05)
    return [pid for pid in pids if lives(pid)]


def lives(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    return False


def memory(tree: int) -> int:
    """Proportional set size of a process and its descendants, in bytes."""
    total = 0
    for pid in [tree, *descendants_of(tree)]:
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1]) * 1024
    return total
