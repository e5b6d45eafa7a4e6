"""Ways to lower a bill ("levers"); what each saves is computed from the template and the prices."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from infrastructure.cost.bill import estimate
from infrastructure.cost.usage import IDLE, TEN, THOUSAND, Load, fact


@dataclass(frozen=True)
class Lever:
    """A parameter of the template, or a way to use the lake, that changes dev's bill under ``load``.

    Attributes:
        title: what changes.
        how: the parameter or command that does it.
        parameters: the template's parameters that it changes.
        before: parameters that are assumed without the lever.
        usage: the fields of Load that it changes.
    """

    title: str
    how: str
    load: Load = IDLE
    parameters: Mapping[str, str] = field(default_factory=dict)
    before: Mapping[str, str] = field(default_factory=dict)
    usage: Mapping[str, Any] = field(default_factory=dict)

    def usd(self) -> tuple[float, float]:
        """The month's bill without the lever and with it."""
        changed = dataclasses.replace(self.load, **self.usage)
        without = estimate("dev", self.load, self.before)
        return without.usd, estimate("dev", changed, {**self.before, **self.parameters}).usd


AT_REST = {"CreateDms": "false"}
LINES_A_RECORD = int(fact("firehose_step") // fact("event"))
_STOPPED, _RUNNING = {"MySqlNightlyStop": "true"}, {"MySqlNightlyStop": "false"}
_START = "aws rds start-db-instance --db-instance-identifier sakila-streams-dev-sakila"

IDLE_LEVERS = (
    Lever(
        "MySQL stops each night",
        f"`MySqlNightlyStop` `true`; `{_START}` when it is needed",
        parameters=_STOPPED,
        before=_RUNNING,
    ),
    Lever(
        "DMS and its interface to Secrets Manager exist only during a load",
        "`CreateDms` `false`; `true` before `replicate_sakila` runs",
        parameters=AT_REST,
        before=_RUNNING,
    ),
    Lever("both: dev at rest", "both parameters", parameters=_STOPPED | AT_REST, before=_RUNNING),
)
_JOIN = f"{LINES_A_RECORD} lines in `Data` of each record that producers send; the lake needs no change"
_SCHEDULE = "`schedule` of `enrich_streaming_films`"
LOAD_LEVERS = (
    Lever("lines joined into records of 5 KB", _JOIN, THOUSAND, usage={"events_per_record": LINES_A_RECORD}),
    Lever("lines joined into records of 5 KB", _JOIN, TEN, usage={"events_per_record": LINES_A_RECORD}),
    Lever("enrichment and reports every three hours", _SCHEDULE, THOUSAND, usage={"hours_between_runs": 3.0}),
    Lever("enrichment and reports every three hours", _SCHEDULE, TEN, usage={"hours_between_runs": 3.0}),
)
