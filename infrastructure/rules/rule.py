"""The parts of a rule, and its findings."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from infrastructure.rules.view import View

Complaints = Iterator[tuple[str, str]]  # (logical id, what is wrong)


@dataclass(frozen=True)
class Finding:
    """A violation of a rule."""

    rule: str
    resource: str
    message: str

    def __str__(self) -> str:
        return f"{self.rule} {self.resource}: {self.message}"


@dataclass(frozen=True)
class Rule:
    """One rule: what must hold (``title``), why, and where AWS documents it."""

    id: str
    title: str
    reason: str
    source: str
    judge: Callable[[View], Complaints]

    def findings(self, view: View) -> list[Finding]:
        """The violations in a template, one finding for each resource."""
        found: dict[str, list[str]] = {}
        for resource, message in self.judge(view):
            found.setdefault(resource, []).append(message)
        return [Finding(self.id, resource, "; ".join(messages)) for resource, messages in found.items()]
