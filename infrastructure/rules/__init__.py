"""Our own security rules, for what the scanners do not check. Each is a small function over a template.

``python -m infrastructure.rules [TEMPLATE]`` prints its findings and exits with 1 if there are any. A rule sees the
template before intrinsic functions are resolved, so both branches of an ``Fn::If`` must satisfy it.
"""

from infrastructure.rules import access, database, delivery, processing, storage
from infrastructure.rules.rule import Finding, Rule
from infrastructure.rules.view import View

__all__ = ["RULES", "Finding", "Rule", "View", "check"]

RULES: tuple[Rule, ...] = (*storage.RULES, *database.RULES, *delivery.RULES, *processing.RULES, *access.RULES)


def check(view: View) -> list[Finding]:
    """All findings in a template, in the order of the rules."""
    return [finding for rule in RULES for finding in rule.findings(view)]
