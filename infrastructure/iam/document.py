"""Writes docs/iam.md (``make docs``): every grant with what proves that it is needed, and the counts."""

from __future__ import annotations

from collections.abc import Iterable

from infrastructure.cfn.template import parse_template
from infrastructure.iam import unproven_grants, used_grants
from infrastructure.iam.grants import Grant, granted
from infrastructure.iam.unproven_grants import UnprovenGrants
from infrastructure.iam.used_grants import Use
from infrastructure.package import ROOT, render_template

TARGET = ROOT / "docs" / "iam.md"

_HEAD = """# Who may do what

Written by `make docs` from `infrastructure/template.yaml`, `infrastructure/iam/used_grants.json` and
`infrastructure/iam/unproven_grants.json`; not to be edited by hand.

The local home enforces IAM and records each decision: the role, the action, the resource, and whether it was allowed.
A grant is *used* when a call recorded in a tier of tests needed it. It is *unproven* when none did; then a reason is
given, mostly that the call is made by one of AWS's own services. Tests check that every grant is of one of these two
kinds, that no call of the journey is denied, and that without any single used grant a recorded call is denied.

In resources, `arn:aws:SERVICE:REGION:ACCOUNT:` is omitted, `ENV` is the deployment's environment, `SUFFIX` its suffix.
"""


def counts(grants: set[Grant], uses: Iterable[Use], groups: Iterable[UnprovenGrants]) -> str:
    """The counts in one line."""
    used = len({use.grant for use in uses} & grants)
    unproven = sum(len(group.grants) for group in groups)
    return f"{len(grants)} granted = {used} used + {unproven} unproven with a reason"


def render(grants: set[Grant], uses: list[Use], groups: list[UnprovenGrants]) -> str:
    """The whole document."""
    proofs = {use.grant: ", ".join(use.tiers) for use in uses}
    reasons = {grant: f"unproven ({number})" for number, group in enumerate(groups, 1) for grant in group.grants}
    lines = [
        f"{_HEAD}\n**{counts(grants, uses, groups)}.**\n",
        "| role | granted | used | unproven |",
        "|---|---|---|---|",
    ]
    roles = sorted({grant.role for grant in grants})
    for role in roles:
        of = [grant for grant in grants if grant.role == role]
        used = sum(grant in proofs for grant in of)
        lines.append(f"| [{role}](#{role}) | {len(of)} | {used} | {sum(grant in reasons for grant in of)} |")
    lines += ["", "## Unproven", "", "| | grants | made by | reason |", "|---|---|---|---|"]
    for number, group in enumerate(groups, 1):
        made_by = "the home, too" if group.enforced else "AWS only"
        lines.append(f"| {number} | {len(group.grants)} | {made_by} | {group.reason} |")
    for role in roles:
        lines += ["", f"## {role}", "", "| action | resource | proven by |", "|---|---|---|"]
        for grant in sorted(one for one in grants if one.role == role):
            proof = proofs.get(grant) or reasons.get(grant, "nothing")
            lines.append(f"| {grant.action} | `{_short(grant.resource)}` | {proof} |")
    return "\n".join(lines) + "\n"


def _short(resource: str) -> str:
    text = resource.replace("${Environment}", "ENV").replace("${Suffix}", "SUFFIX")
    return text.rpartition("${AWS::AccountId}:")[2].removeprefix("arn:${AWS::Partition}:s3:::")


if __name__ == "__main__":
    known = (granted(parse_template(render_template())), used_grants.read(), unproven_grants.read())
    TARGET.write_text(render(*known), encoding="utf-8")
    print(counts(*known))
