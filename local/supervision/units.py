"""One service at run time: started, checked until it works, restarted, stopped. Standard library only."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from local.engines.files import last_lines
from local.settings import ROOT, Settings
from local.supervision import processes
from local.supervision.reaper import children_of
from local.supervision.service import Service, environment_of

REAPER = [sys.executable, "-I", "-S", str(Path(__file__).with_name("reaper.py"))]
BACK_OFF = (0.5, 1, 2, 4, 8, 16)  # seconds before each restart; after as many failures in a row the service has failed
STEADY_SECONDS = 60  # after a run of this length the count of failures restarts

WAITING, STARTING, READY, RESTARTING = "waiting", "starting", "ready", "restarting"
DONE, FAILED, BLOCKED, STOPPED = "done", "failed", "blocked", "stopped"
SETTLED = (READY, DONE, FAILED, BLOCKED, STOPPED)

log = logging.getLogger("supervisor")


class StartError(Exception):
    """A service did not start; the message says why."""


@dataclass
class Status:
    """What the state file says of a service.

    ``after`` names the services that it needs, ``since`` is Unix time, ``pid`` the service's own process, 0 if none.
    """

    service: str
    after: tuple[str, ...] = ()
    state: str = WAITING
    pid: int = 0
    port: int | None = None
    restarts: int = 0
    since: float = field(default_factory=time.time)
    seconds: float = 0.0  # that the last start took
    message: str = ""
    log: str = ""


class Unit:
    """A service and its process.

    ``changed`` is called on every state change, ``crashed`` on every unexpected exit; ``run_step`` runs a service that
    ends (``once``) to its end.
    """

    def __init__(
        self,
        service: Service,
        settings: Settings,
        changed: Callable[[], None],
        crashed: Callable[[Unit], None],
        run_step: Callable[[Unit], Awaitable[None]],
    ) -> None:
        self.service, self.settings = service, settings
        self._changed, self._crashed, self._run_step = changed, crashed, run_step
        self._log = settings.logs / f"{service.name}.log"
        self.status = Status(service.name, service.after, port=service.port, log=str(self._log))
        self.settled = asyncio.Event()
        self._process: asyncio.subprocess.Process | None = None
        self._task: asyncio.Task[None] | None = None
        self._restarted: asyncio.Event | None = None

    def begin(self, needs: list[Unit]) -> None:
        """Start in the background, once everything it needs is ready."""
        self._set(WAITING)
        self._task = asyncio.create_task(self._run(needs))

    async def stop(self) -> None:
        """Stop for good; nothing of it is left."""
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._end()
        self._set(STOPPED)

    def look(self) -> None:
        """Notice at once that the service has ended, even while its reaper is still ending what it left behind."""
        if self.status.state == READY and not processes.lives(self.status.pid):
            self._set(RESTARTING, "has just ended")

    async def restart(self) -> None:
        """Stop cleanly and start again; raises StartError."""
        self._restarted = asyncio.Event()
        await self._end()
        await self._restarted.wait()
        if self.status.state != READY:
            raise StartError(f"{self.service.name} did not come back: {self.status.message}")

    async def run_to_end(self, command: list[str]) -> None:
        """Run a command of this service to its end; raises StartError."""
        self._process = process = await self._spawn(command, None)
        try:
            code = await asyncio.wait_for(process.wait(), self.service.seconds)
        except TimeoutError:
            raise StartError(f"not done after {self.service.seconds:.0f} s; {self._tail()}") from None
        finally:
            await self._end()
        if code:
            raise StartError(f"{_ending(code)}; {self._tail()}")

    async def _run(self, needs: list[Unit]) -> None:
        try:
            for unit in needs:
                await unit.settled.wait()
                if unit.status.state not in (READY, DONE):
                    self._set(BLOCKED, f"needs {unit.service.name}")
                    return
            if self.service.once:
                self._set(STARTING)
                began = time.monotonic()
                await self._run_step(self)
                self.status.seconds = time.monotonic() - began
                self._set(DONE)
            else:
                await self._start()
                await self._keep_running()
        except StartError as error:
            self._set(FAILED, str(error))
        except Exception as error:
            log.exception("%s", self.service.name)
            self._set(FAILED, f"{type(error).__name__}: {error}")
        finally:
            if self._restarted:
                self._restarted.set()

    async def _keep_running(self) -> None:
        """Start the service again whenever it ends; raises StartError when it keeps ending."""
        failures = 0
        while self._process:
            began = time.monotonic()
            why = _ending(await self._process.wait())
            await self._end()
            if self._restarted:
                await self._start()
                self._restarted.set()
                self._restarted = None
                continue
            if time.monotonic() - began > STEADY_SECONDS:
                failures = 0
            while True:
                if failures == len(BACK_OFF):
                    raise StartError(f"{why}, {failures} times in a row; {self._tail()}")
                self.status.restarts += 1
                self._set(RESTARTING, why)
                self._crashed(self)
                await asyncio.sleep(BACK_OFF[failures])
                failures += 1
                with contextlib.suppress(StartError):
                    await self._start()
                    break

    async def _start(self) -> None:
        """Start the process and wait until it works; raises StartError."""
        service = self.service
        self._set(STARTING)
        began, since = time.monotonic(), datetime.now(UTC)
        if service.port and (holder := processes.holder(service.port)):
            raise StartError(taken(service.port, service.name, holder))
        if service.prepare:
            await self.run_to_end(service.prepare)
        try:
            command = await asyncio.to_thread(service.command)
            self._process = process = await self._spawn(command, service.user)
        except (OSError, ValueError) as error:
            raise StartError(str(error)) from error
        pause = 0.1
        while not await asyncio.to_thread(self._is_ready, process.pid, since):
            with contextlib.suppress(TimeoutError):
                why = _ending(await asyncio.wait_for(process.wait(), pause))
                await self._end()
                raise StartError(f"{why}; {self._tail()}")
            if time.monotonic() - began > service.seconds:
                await self._end()
                raise StartError(f"no answer after {service.seconds:.0f} s; {self._tail()}")
            pause = min(pause * 1.5, 1.0)
        self.status.pid = next(iter(children_of(process.pid)), 0)
        self.status.seconds = time.monotonic() - began
        self._set(READY)

    def _is_ready(self, reaper: int, since: datetime) -> bool:
        """Whether the service works, and it is this very process that answers."""
        port = self.service.port
        try:
            return (port is None or processes.listens(reaper, port)) and self.service.ready(since)
        except (OSError, ValueError, KeyError):
            return False

    async def _spawn(self, command: list[str], user: str | None) -> asyncio.subprocess.Process:
        """The command under a reaper that ends it when our end of its standard input closes."""
        environment = await asyncio.to_thread(environment_of, self.settings, self.service)
        options = [*(["--user", user] if user else []), "--stop", self.service.stop]
        self._log.parent.mkdir(parents=True, exist_ok=True)
        with self._log.open("ab") as output:
            return await asyncio.create_subprocess_exec(
                *REAPER,
                *options,
                "--",
                *command,
                stdin=asyncio.subprocess.PIPE,
                stdout=output,
                stderr=output,
                env=environment,
                cwd=ROOT,
                start_new_session=True,
            )

    async def _end(self) -> None:
        """End the process, if there is one, and whatever a killed reaper may have left of it."""
        self.status.pid = 0
        if process := self._process:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.send_signal(signal.SIGTERM)
            code = await process.wait()
            if process.stdin:
                process.stdin.close()
            if code < 0:
                home = str(self.settings.home)
                await asyncio.to_thread(processes.end, processes.of_home(home, self.service.name))

    def _set(self, state: str, message: str = "") -> None:
        status = self.status
        status.state, status.message, status.since = state, message, time.time()
        if state in SETTLED:
            self.settled.set()
        else:
            self.settled.clear()
        log.info("%s: %s%s", self.service.name, state, f": {message}" if message else "")
        self._changed()

    def _tail(self) -> str:
        return last_lines(self._log) or f"its log {self._log} is empty"


def taken(port: int, service: str, holder: str) -> str:
    """What to say of a port that somebody else has."""
    return f"port {port}, which {service} needs, is taken by {holder}; stop that, or choose other ports with LAKE_PORT"


def _ending(code: int) -> str:
    """A reaper's exit code in words."""
    if code > 128 and code - 128 in set(signal.Signals):
        return f"killed by {signal.Signals(code - 128).name}"
    return f"its reaper was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
