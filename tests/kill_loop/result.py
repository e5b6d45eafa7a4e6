"""What a kill loop found: whether it passed, its numbers as a table, and its section of docs/kill-loop.md."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from local.settings import ROOT

RESULTS = Path(__file__).with_name("results.json")
DOCUMENT = ROOT / "docs" / "kill-loop.md"
BEGIN, END = "<!-- kill loop: written by make kill-loop -->\n", "<!-- end of kill loop -->\n"


@dataclass
class Result:
    """Numbers of one loop. ``judged`` counts the oracle's findings by kind, ``clean`` those in the clean zone."""

    date: str
    seed: int
    wanted: int
    minutes: float
    killed: dict[str, int]
    reruns: dict[str, int]
    acknowledged: int
    objects: int
    landed: int
    enriched: int
    quarantined: int
    duplicates: int
    reader: dict[str, Any]
    judged: dict[str, int]
    clean: dict[str, int]
    failed_runs: list[str] = field(default_factory=list)

    @property
    def kills(self) -> int:
        """How many processes were killed."""
        return sum(self.killed.values())

    @property
    def faults(self) -> list[str]:
        """Why the loop has not passed; empty if it has."""
        found = [f"{count} {kind}" for kind, count in self.judged.items() if count]
        found += [f"{count} {kind} in the clean zone" for kind, count in self.clean.items() if count]
        if self.reader["torn"]:
            found.append(f"{self.reader['torn']} torn reads")
        if self.kills < self.wanted:
            found.append(f"only {self.kills} of {self.wanted} kills")
        if (reruns := sum(self.reruns.values())) > self.kills:
            found.append(f"{reruns} re-runs for {self.kills} kills")
        if self.landed != self.enriched + self.quarantined + self.duplicates:
            found.append("landed is not enriched + quarantined + duplicates")
        return found

    def table(self) -> str:
        """The numbers as a Markdown table."""
        rows = [
            ("kills", f"{self.kills} in {self.minutes:.0f} minutes"),
            *((f"- {target}", str(count)) for target, count in sorted(self.killed.items(), key=lambda kv: -kv[1])),
            ("re-runs", str(sum(self.reruns.values()))),
            *((f"- {kind}", str(count)) for kind, count in self.reruns.items()),
            ("events acknowledged", f"{self.acknowledged:,}"),
            (
                "lines landed = enriched + quarantined + duplicates",
                f"{self.landed:,} = {self.enriched:,} + {self.quarantined:,} + {self.duplicates:,},"
                f" in {self.objects:,} objects",
            ),
            ("looks of the reader", f"{self.reader['polls']:,}, {self.reader['unanswered']:,} unanswered"),
            ("snapshots read", ", ".join(f"{name} {count}" for name, count in self.reader["snapshots"].items())),
            ("Parquet objects of the clean zone read", f"{self.reader['clean_objects']:,}"),
            ("torn reads", str(self.reader["torn"])),
            *((kind, str(count)) for kind, count in self.judged.items()),
            *((f"{kind} in the clean zone", str(count)) for kind, count in self.clean.items()),
        ]
        lines = ["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows)]
        return "\n".join([*lines, "", f"Last run: {self.date}, seed {self.seed}."]) + "\n"

    def record(self) -> None:
        """Save the numbers, and write them into the document."""
        RESULTS.write_text(json.dumps(asdict(self), indent=1) + "\n")
        DOCUMENT.write_text(document(DOCUMENT.read_text(), self))


def recorded() -> Result:
    """The loop that was recorded last."""
    return Result(**json.loads(RESULTS.read_text()))


def document(text: str, result: Result) -> str:
    """The document with the table between its markers written anew."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}{result.table()}{END}{after}"
