"""The month in which events arrived, in every form that it takes: key of a run, folder of objects, partition of tables.

It is the month (UTC) in Firehose's prefix, not the month of the events' own times.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

PATTERN = "^[0-9]{4}-(0[1-9]|1[0-2])$"  # of ``Month.key``


@dataclass(frozen=True, order=True)
class Month:
    """One arrival month; months sort by time."""

    year: str  # yyyy: column partition_0
    number: str  # MM: column partition_1

    @classmethod
    def parse(cls, key: str) -> Month:
        """The month of a key such as ``2026-11``; raises ValueError when it is not one."""
        if not re.fullmatch(PATTERN, key):
            raise ValueError(f"{key!r} is not a month: give yyyy-MM")
        return cls.of_key(key)

    @classmethod
    def of_key(cls, key: str) -> Month:
        """The month whose ``key`` this is, UNKNOWN_MONTH included; for keys that the lake itself has written."""
        year, number = key.split("-")
        return cls(year, number)

    @classmethod
    def of_time(cls, time: datetime) -> Month:
        """The month of a time."""
        return cls(f"{time:%Y}", f"{time:%m}")

    @property
    def key(self) -> str:
        """Such as ``2026-11``: partition key of DAG runs, argument of jobs, and what reports name."""
        return f"{self.year}-{self.number}"

    @property
    def folder(self) -> str:
        """Such as ``2026/11/``: the folder under a prefix of the landing bucket. It is empty for UNKNOWN_MONTH."""
        return "" if self == UNKNOWN_MONTH else f"{self.year}/{self.number}/"

    def __str__(self) -> str:
        return self.key


UNKNOWN_MONTH = Month("unknown", "unknown")  # of an object that lies outside every month's folder


def months_between(first: datetime, last: datetime) -> list[Month]:
    """The months of these two times and every month between them, in order."""
    numbers = range(first.year * 12 + first.month - 1, last.year * 12 + last.month)
    return [Month(f"{number // 12:04}", f"{number % 12 + 1:02}") for number in numbers]
