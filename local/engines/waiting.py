"""One bounded wait, for all of the home and its tests. Standard library only."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_until(
    look: Callable[[], T | None],
    seconds: float,
    otherwise: str,
    pause: float = 0.1,
    ignoring: tuple[type[Exception], ...] = (),
) -> T:
    """Call ``look`` every ``pause`` seconds until it returns something true, and return that.

    An exception of a type in ``ignoring`` counts as "not yet". ``look`` is called at least once. Raises TimeoutError
    when ``seconds`` have passed: its text is ``otherwise``, its cause the exception that was ignored last.
    """
    deadline = time.monotonic() + seconds
    while True:
        ignored = None
        try:
            if found := look():
                return found
        except ignoring as error:
            ignored = error
        if time.monotonic() > deadline:
            raise TimeoutError(f"{otherwise} within {seconds:g} s") from ignored
        time.sleep(pause)
