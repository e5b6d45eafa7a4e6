"""docs/iam.md, which ``make docs`` writes: every grant with what proves it, and the counts."""

from __future__ import annotations

from collections.abc import Iterable

from infrastructure.iam.grants import Grant
from infrastructure.iam.unproven import Group
from infrastructure.iam.used import Use
from infrastructure.package import ROOT

TARGET = ROOT / "docs" / "iam.md"

_HEAD = """# Who may do what

Written by `make docs` from `infrastructure/template.yaml`, `infrastructure/iam/used.json` and
`infrastructure/iam/unproven.json`; not to be edited by hand.

The home enforces IAM and records each decision: the role, the action, the resource, allowed or not. A grant is *used*
when a call recorded in a tier of tests needed it, and *unproven* when none did, for the reason given: mostly because it
is for a call that AWS's own service makes. Tests see to it that there is no third kind, that the journey is denied
nothing, and that without any one used grant a recorded call is denied.

In resources, `arn:aws:SERVICE:REGION:ACCOUNT:` is left out, `ENV` is the deployment's environment, `SUFFIX` its suffix.
"""


def counts(granted: set[Grant], uses: Iterable[Use], groups: Iterable[Group]) -> str:
    """One line of numbers."""
    used = len({use.grant for use in uses} & granted)
    unproven = sum(len(group.grants) for group in groups)
    return f"{len(granted)} granted = {used} used + {unproven} unproven with a reason"


def render(granted: set[Grant], uses: list[Use], groups: list[Group]) -> str:
    """The whole document."""
    proofs = {use.grant: ", ".join(use.tiers) for use in uses}
    reasons = {grant: f"unproven ({number})" for number, group in enumerate(groups, 1) for grant in group.grants}
    lines = [
        _HEAD,
        f"**{counts(granted, uses, groups)}.**",
        "",
        "| role | granted | used | unproven |",
        "|---|---|---|---|",
    ]
    roles = sorted({grant.role for grant in granted})
    for role in roles:
        of = [grant for grant in granted if grant.role == role]
        used = sum(grant in proofs for grant in of)
        lines.append(f"| [{role}](#{role}) | {len(of)} | {used} | {sum(grant in reasons for grant in of)} |")
    lines += ["", "## Unproven", "", "| | grants | whose call | reason |", "|---|---|---|---|"]
    for number, group in enumerate(groups, 1):
        whose = "the home's, too" if group.enforced else "AWS's"
        lines.append(f"| {number} | {len(group.grants)} | {whose} | {group.reason} |")
    for role in roles:
        lines += ["", f"## {role}", "", "| action | resource | proven by |", "|---|---|---|"]
        for grant in sorted(one for one in granted if one.role == role):
            proof = proofs.get(grant) or reasons.get(grant, "nothing")
            lines.append(f"| {grant.action} | `{_short(grant.resource)}` | {proof} |")
    return "\n".join(lines) + "\n"


def _short(resource: str) -> str:
    text = resource.replace("${Environment}", "ENV").replace("${Suffix}", "SUFFIX")
    return text.rpartition("${AWS::AccountId}:")[2].removeprefix("arn:${AWS::Partition}:s3:::")
