"""What a run of the enrichment committed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from datalake.events import DUPLICATE, NOT_WRONG
from datalake.run_reports import EnrichmentCounts

OPTIONAL_FIELD = "event_id"  # the only field that events may lack


@dataclass(kw_only=True)
class Tally:
    """Numbers of one object or more: ``landed`` are lines counted in the bytes, all others are committed rows."""

    landed: int = 0
    enriched: int = 0
    unknown_films: int = 0
    reasons: Counter[str] = field(default_factory=Counter)  # of rows in quarantine

    @property
    def duplicates(self) -> int:
        """Rows in quarantine that are copies of events."""
        return self.reasons[DUPLICATE]

    @property
    def quarantined(self) -> int:
        """Rows in quarantine without the duplicates."""
        return self.reasons.total() - self.duplicates

    @property
    def adds_up(self) -> bool:
        """Whether there is one row for each landed line."""
        return self.landed == self.enriched + self.quarantined + self.duplicates

    def __str__(self) -> str:
        return (
            f"{self.landed} lines landed, {self.enriched} enriched, {self.quarantined} quarantined, "
            f"{self.duplicates} duplicates"
        )


@dataclass(kw_only=True)
class Report(Tally):
    """The sums over all objects that the run has committed, and what else it noticed."""

    film_category_snapshot: int
    snapshot_id: int | None = None  # of streaming_films
    months: set[str] = field(default_factory=set)  # yyyy-MM
    objects: int = 0
    events: int = 0  # well-formed lines, enriched or not
    with_event_id: int = 0
    more_bad_values: int = 0  # JSON values on bad lines, beyond the first of each line
    unknown_fields: Counter[str] = field(default_factory=Counter)
    stale_months: set[str] = field(default_factory=set)  # with rows that a rebuild of another month makes duplicates

    def add(self, tallies: Iterable[Tally]) -> None:
        """Add objects that were committed."""
        for tally in tallies:
            self.objects += 1
            self.landed += tally.landed
            self.enriched += tally.enriched
            self.unknown_films += tally.unknown_films
            self.reasons.update(tally.reasons)

    @property
    def bad_reasons(self) -> Counter[str]:
        """Rows in quarantine by those reasons that mean that the line is bad."""
        return Counter({reason: count for reason, count in self.reasons.items() if reason not in NOT_WRONG})

    @property
    def bad(self) -> int:
        """The number of bad lines; a line of several JSON values counts as so many, as so many events are missing."""
        return self.bad_reasons.total() + self.more_bad_values

    @property
    def sent(self) -> int:
        """The number of landed lines, counted in the same way."""
        return self.landed + self.more_bad_values

    @property
    def vanished_fields(self) -> list[str]:
        """Optional fields that no event of the run has."""
        return [OPTIONAL_FIELD] if self.events and not self.with_event_id else []

    def as_dict(self) -> EnrichmentCounts:
        """The numbers as they are published in the run's report."""
        return {
            "months": sorted(self.months),
            "objects": self.objects,
            "landed": self.landed,
            "enriched": self.enriched,
            "quarantined": self.quarantined,
            "duplicates": self.duplicates,
            "unknown_films": self.unknown_films,
            "reasons": dict(self.reasons.most_common()),
            "unknown_fields": dict(self.unknown_fields.most_common()),
            "vanished_fields": self.vanished_fields,
            "stale_months": sorted(self.stale_months),
            "film_category_snapshot": self.film_category_snapshot,
            "snapshot_id": self.snapshot_id,
        }
