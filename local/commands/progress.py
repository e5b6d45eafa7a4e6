"""Progress of long steps: a live line a step on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType

from rich.console import Console
from rich.markup import escape
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

PLAIN_SECONDS = 10  # where nothing can be redrawn, a running step says this often where it is

Tick = Callable[[str], None]


class Steps:
    """Use as a context manager; steps may overlap and nest."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._live = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            TimeElapsedColumn(),
            TextColumn("[dim]{task.fields[detail]}"),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )

    def __enter__(self) -> Steps:
        self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        self._live.stop()

    def note(self, text: str, seconds: float | None = None) -> None:
        """A finished thing, with how long it took."""
        took = "" if seconds is None else f"  [dim]{seconds:.1f} s[/]"
        self._say(f"[green]✓[/] {escape(text)}{took}")

    def _say(self, text: str) -> None:
        self.console.print(text, highlight=False, soft_wrap=True)

    @contextmanager
    def step(self, title: str) -> Iterator[Tick]:
        """A running step; gives a function that takes one line about where it is."""
        began = said = time.monotonic()
        task = self._live.add_task(escape(title), total=None, detail="")
        if not self.console.is_terminal:
            self._say(f"… {escape(title)}")

        def tick(text: str) -> None:
            nonlocal said
            self._live.update(task, detail=escape(text))
            if not self.console.is_terminal and time.monotonic() - said > PLAIN_SECONDS:
                said = time.monotonic()
                self._say(f"  {escape(text)}  {said - began:.0f} s")

        try:
            yield tick
        except BaseException:
            self._live.remove_task(task)
            self.console.print(
                f"[red]✗[/] {escape(title)}  [dim]{time.monotonic() - began:.1f} s[/]", highlight=False, soft_wrap=True
            )
            raise
        self._live.remove_task(task)
        self.note(title, time.monotonic() - began)
