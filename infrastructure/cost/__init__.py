"""Estimates what a deployment costs in a month: the template's resources, under a load, times AWS's list prices.

``python -m infrastructure.cost.document`` writes docs/cost.md, which says what is not counted. It needs no AWS account.
"""

from __future__ import annotations

from infrastructure.cost.bill import Bill, estimate
from infrastructure.cost.usage import LOADS


def summary(environment: str) -> str:
    """A summary in a few lines: the bill under each load, and its largest parts."""
    shown = []
    for load in LOADS:
        bill = estimate(environment, load)
        top = ", ".join(f"{line.resource} {line.usd:,.2f}" for line in bill.largest())
        shown.append(f"{load.name:>14}: {bill.usd:9,.2f} USD a month (most of it: {top})")
    return "\n".join([*shown, "List prices of us-east-1, the lake's first month; every line is in docs/cost.md."])


__all__ = ["Bill", "estimate", "summary"]
