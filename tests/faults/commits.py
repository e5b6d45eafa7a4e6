"""The moments before and after each commit of this process's Spark, whatever code makes it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from py4j.protocol import Py4JJavaError
from pyspark.sql import DataFrameWriterV2

Hook = Callable[[str], object]  # is given the table's name, without catalog and database

_WRITES = ("append", "overwrite", "overwritePartitions")


class PowerCut(BaseException):
    """Stands for the end of the process: no handler of errors sees it."""


@dataclass
class Commits:
    """(thread, table) of each commit that was made, and of each that Spark refused."""

    made: list[tuple[str, str]] = field(default_factory=list)
    refused: list[tuple[str, str]] = field(default_factory=list)


def _nothing(_: str) -> None:
    pass


@contextmanager
def commits(before: Hook = _nothing, after: Hook = _nothing) -> Iterator[Commits]:
    """Call the hooks around every commit; what they raise breaks the writer off right there."""
    seen = Commits()
    initialise = DataFrameWriterV2.__init__

    def initialised(self: Any, frame: Any, table: str) -> None:
        initialise(self, frame, table)
        self.table_name = table.rpartition(".")[2]

    def watched(write: Callable[..., None]) -> Callable[..., None]:
        def writing(self: Any, *arguments: Any) -> None:
            who = (threading.current_thread().name, self.table_name)
            before(self.table_name)
            try:
                write(self, *arguments)
            except Py4JJavaError:
                seen.refused.append(who)
                raise
            seen.made.append(who)
            after(self.table_name)

        return writing

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DataFrameWriterV2, "__init__", initialised)
        for name in _WRITES:
            patch.setattr(DataFrameWriterV2, name, watched(getattr(DataFrameWriterV2, name)))
        yield seen
