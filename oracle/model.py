"""The oracle's data types: films, landed lines and where each must end, the tables' rows, and the verdict."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import pyarrow as pa

EXAMPLES = 5
FAULTS = ("lost", "doubled", "misplaced", "torn", "wrong", "unreconciled", "gone")


class Film(NamedTuple):
    """A row of curated.film_category, which is also 11 of the 23 columns of curated.streaming_films, in their order."""

    film_id: int
    title: str | None
    description: str | None
    release_year: int | None
    language_id: int | None
    original_language_id: float | None
    length: int | None
    rating: str | None
    special_features: str | None
    category_id: int | None
    category_name: str | None


class Enriched(NamedTuple):
    """A line that must be a row of streaming_films: its event."""

    timestamp: str  # as written
    eventtype: str
    film_id: int
    distributor: str
    platform: str
    state: str
    event_id: str | None  # lower case
    event_time: str  # UTC, yyyy-MM-ddTHH:mm:ssZ
    digest: bytes  # of the line's bytes, see lines.digest


class Quarantined(NamedTuple):
    """A line that must be a row of the quarantine."""

    reason: str
    encoding: str  # utf-8, base64, base64-start
    digest: bytes


@dataclass
class Landed:
    """One landed object, and where each line that is not blank must end, by its 1-based number."""

    key: str
    partition_0: str  # yyyy of the folder, or unknown
    partition_1: str  # MM of the folder, or unknown
    time: int | None  # seconds since 1970 UTC, from the name; None if the name is not of Firehose's form
    lines: dict[int, Enriched | Quarantined] = field(default_factory=dict)
    values: dict[int, int] = field(default_factory=dict)  # JSON values of a line that holds several
    # Of a repair object: line -> (file, line, 1-based index of the JSON value in it)
    supersedes: dict[int, tuple[str, int, int]] = field(default_factory=dict)

    @property
    def month(self) -> str:
        """yyyy-MM, or unknown-unknown."""
        return f"{self.partition_0}-{self.partition_1}"


@dataclass
class Expected:
    """Every landed object by its key, the films, and every event id that occurs in the objects."""

    objects: dict[str, Landed]
    films: Mapping[int, Film]
    event_ids: set[str]
    older_films: Sequence[Mapping[int, Film]] = ()  # earlier versions of film_category, which rows may still have

    def of_month(self, month: str) -> Expected:
        """Only the objects of one month, but all event ids."""
        kept = {key: landed for key, landed in self.objects.items() if landed.month == month}
        return Expected(kept, self.films, self.event_ids, self.older_films)


@dataclass
class Actual:
    """The tables' rows, in one snapshot of each."""

    films: pa.Table  # curated.streaming_films
    quarantine: pa.Table  # curated.streaming_events_quarantine
    reconciliation: pa.Table | None  # curated.streaming_reconciliation; None when there is no such table
    snapshots: dict[str, int | None] = field(default_factory=dict)  # by table


class Finding(NamedTuple):
    """One difference between the tables and what they must contain."""

    what: str
    source_file: str = ""
    source_line: int | None = None

    def __str__(self) -> str:
        place = self.source_file if self.source_line is None else f"{self.source_file} line {self.source_line}"
        return f"{self.what}: {place}" if place else self.what


@dataclass
class Verdict:
    """The counts and all findings."""

    objects: int = 0
    landed: int = 0  # lines that are not blank
    enriched: int = 0  # rows
    quarantined: Counter[str] = field(default_factory=Counter)  # rows by reason, duplicates among them
    unknown_films: int = 0  # enriched rows
    outdated: int = 0  # enriched rows with an older version of film_category
    waiting: int = 0  # objects that no run has processed yet
    lost: list[Finding] = field(default_factory=list)  # a line, or an acknowledged event id, that is in no table
    doubled: list[Finding] = field(default_factory=list)  # a line twice, or an event counted twice
    misplaced: list[Finding] = field(default_factory=list)  # in the wrong table or partition
    torn: list[Finding] = field(default_factory=list)  # an object of which only some lines are there
    wrong: list[Finding] = field(default_factory=list)  # a value that does not follow from the line
    unreconciled: list[Finding] = field(default_factory=list)  # a wrong count in streaming_reconciliation
    gone: list[Finding] = field(default_factory=list)  # an object that the tables refer to and that is not in landing
    hash: int = 0  # of all rows in any order, see comparison.row_hash
    snapshots: dict[str, int | None] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether there are no findings."""
        return not any(getattr(self, fault) for fault in FAULTS)

    @property
    def duplicates(self) -> int:
        """Quarantined redeliveries of an event."""
        return self.quarantined["duplicate"]

    def __str__(self) -> str:
        """Counts and up to five examples of each fault."""
        reasons = ", ".join(f"{reason} {count}" for reason, count in self.quarantined.most_common()) or "none"
        text = [
            f"{self.landed} lines landed in {self.objects} objects: {self.enriched} enriched "
            f"({self.unknown_films} of unknown films), quarantined: {reasons}; hash {self.hash:032x}",
            ", ".join(f"{fault} {len(getattr(self, fault))}" for fault in FAULTS),
        ]
        return "\n".join([*text, *self.findings()])

    def findings(self) -> Iterator[str]:
        """Up to five examples of each fault, one a line."""
        for fault in FAULTS:
            found = getattr(self, fault)
            yield from (f"  {fault}: {finding}" for finding in found[:EXAMPLES])
            if len(found) > EXAMPLES:
                yield f"  {fault}: ... and {len(found) - EXAMPLES} more"
