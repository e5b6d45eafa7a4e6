"""The progress of long steps: a live line on a terminal, plain lines elsewhere. Standard library only, any Python 3."""

from __future__ import annotations

import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

LIVE_SECONDS, PLAIN_SECONDS = 0.2, 10.0  # between two lines on what is running: redrawn, or one below the other
GREEN, RED, DIM, RESET, CLEAR = "\033[32m", "\033[31m", "\033[2m", "\033[0m", "\r\033[K"

Tick = Callable[[str], None]


class Progress:
    """Use as a context manager; steps may overlap, and may run in threads of their own."""

    def __init__(self) -> None:
        self._live = sys.stdout.isatty()
        self._running: dict[str, tuple[float, str]] = {}  # title: when it began, where it is
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._reporter = threading.Thread(target=self._report, daemon=True)

    def __enter__(self) -> Progress:
        self._reporter.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._reporter.join()
        if self._live:
            print(CLEAR, end="", flush=True)

    def done(self, title: str, seconds: float) -> None:
        """Say that something is done, and how long it took."""
        self._say(f"{self._in(GREEN, '✓')} {title}  {self._in(DIM, f'{seconds:.1f} s')}")

    @contextmanager
    def step(self, title: str) -> Iterator[Tick]:
        """A running step; gives a function that takes one line about where it is. Says how the step ended."""
        began = time.monotonic()
        self._tick(title, began, "")
        try:
            yield lambda text: self._tick(title, began, text)
        except BaseException:
            self._end(title)
            self._say(f"{self._in(RED, '✗')} {title}  {self._in(DIM, f'{time.monotonic() - began:.1f} s')}")
            raise
        self._end(title)
        self.done(title, time.monotonic() - began)

    def _tick(self, title: str, began: float, text: str) -> None:
        with self._lock:
            self._running[title] = began, text

    def _end(self, title: str) -> None:
        with self._lock:
            self._running.pop(title, None)

    def _report(self) -> None:
        """Say what is running, again and again."""
        while not self._ended.wait(LIVE_SECONDS if self._live else PLAIN_SECONDS):
            with self._lock:
                now, running = time.monotonic(), list(self._running.items())
                texts = [f"{title} {now - began:.0f} s {text}".rstrip() for title, (began, text) in running]
                if self._live:
                    line = f"  {' | '.join(texts)}"[: shutil.get_terminal_size().columns - 1]
                    print(f"{CLEAR}{line}", end="", flush=True)
                else:
                    for text in texts:
                        print(f"  {text}", flush=True)

    def _say(self, line: str) -> None:
        with self._lock:
            print(f"{CLEAR}{line}" if self._live else line, flush=True)

    def _in(self, color: str, text: str) -> str:
        return f"{color}{text}{RESET}" if self._live else text
