"""Caches frames for as long as they are used."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from pyspark.sql import DataFrame

Cache = Callable[[DataFrame], DataFrame]


@contextmanager
def caching() -> Iterator[Cache]:
    """Give a function that caches a frame; all cached frames are released when the block ends, also by an error."""
    with ExitStack() as cached:

        def cache(frame: DataFrame) -> DataFrame:
            cached.callback(frame.unpersist)
            return frame.persist()

        yield cache
