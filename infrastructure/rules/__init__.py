"""Security rules of our own, where scanners are blind. Each is a small function over a template.

``python -m infrastructure.rules [TEMPLATE]`` prints what it finds and exits with 1 if there is something. A rule sees
the template before anything is resolved, so both branches of an ``Fn::If`` must satisfy it.
"""

from infrastructure.rules import access, database, delivery, processing, storage
from infrastructure.rules.rule import Finding, Rule
from infrastructure.rules.view import View

__all__ = ["RULES", "Finding", "Rule", "View", "check"]

RULES: tuple[Rule, ...] = (
    *storage.RULES,
    *database.RULES,
    *delivery.RULES,
    *processing.RULES,
    *access.RULES,
)


def check(view: View) -> list[Finding]:
    """Everything that the rules find in a template, in the rules' order."""
    return [finding for rule in RULES for finding in rule.findings(view)]
