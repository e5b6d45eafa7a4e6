"""What a run of the enrichment committed."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from datalake.events import DUPLICATE, REPAIRED_TWICE, SUPERSEDED

# Quarantined without being wrong
_NOT_BAD = frozenset({DUPLICATE, SUPERSEDED, REPAIRED_TWICE})


@dataclass
class Report:
    """landed = enriched + quarantined, in lines that are not blank."""

    film_category_snapshot: int
    snapshot_id: int | None = None  # of streaming_films
    months: set[str] = field(default_factory=set)  # yyyy-MM
    objects: int = 0
    enriched: int = 0
    unknown_films: int = 0
    reasons: Counter[str] = field(default_factory=Counter)  # of quarantined lines
    unknown_fields: Counter[str] = field(default_factory=Counter)
    stale_months: set[str] = field(default_factory=set)  # a rebuild found older copies of rows that count there

    @property
    def quarantined(self) -> int:
        """Lines with a reason against them."""
        return self.reasons.total()

    @property
    def landed(self) -> int:
        """All lines."""
        return self.enriched + self.quarantined

    @property
    def bad_reasons(self) -> Counter[str]:
        """Reasons that say something against the line itself."""
        return Counter({reason: count for reason, count in self.reasons.items() if reason not in _NOT_BAD})

    @property
    def bad(self) -> int:
        """Lines with such a reason."""
        return self.bad_reasons.total()

    def as_dict(self) -> dict[str, Any]:
        """As it is published."""
        return {
            "months": sorted(self.months),
            "objects": self.objects,
            "landed": self.landed,
            "enriched": self.enriched,
            "quarantined": self.quarantined,
            "duplicates": self.reasons[DUPLICATE],
            "unknown_films": self.unknown_films,
            "reasons": dict(self.reasons.most_common()),
            "unknown_fields": dict(self.unknown_fields.most_common()),
            "stale_months": sorted(self.stale_months),
            "film_category_snapshot": self.film_category_snapshot,
            "snapshot_id": self.snapshot_id,
        }
