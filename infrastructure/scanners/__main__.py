"""``make scan``: checkov, cfn-lint and our own rules over our template, and over a naive one, which must fail.

Our template must have no finding, except at most MOST_SUPPRESSED that are suppressed in the template with a reason. The
naive template must have at least LEAST_NAIVE, which proves that the scanners work. checkov downloads nothing.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infrastructure.package import ROOT, TEMPLATE, render_template
from infrastructure.rules import RULES, View, check

NAIVE = ROOT / "tests" / "infrastructure" / "naive.yaml"
MOST_SUPPRESSED, LEAST_NAIVE = 10, 40
# checkov is in an environment of its own, which `make setup-tests` creates; cfn-lint in that of the running Python.
CHECKOV = ROOT / ".local" / "tools" / "scanners" / "bin" / "checkov"
CFN_LINT = Path(sys.executable).with_name("cfn-lint")


@dataclass(frozen=True)
class Scan:
    """A scanner's result for a template; ``suppressed`` has (check, resource, reason)."""

    scanner: str
    findings: tuple[str, ...]
    suppressed: tuple[tuple[str, str, str], ...] = ()


def checkov(template: Path) -> Scan:
    """Run checkov; a finding is the check's id, the resource and the check's title."""
    options = ["--framework", "cloudformation", "--skip-download", "--output", "json"]
    done = subprocess.run([CHECKOV, "--file", template, *options], capture_output=True, text=True, check=False)
    report: dict[str, Any] = json.loads(done.stdout)
    results = report["results"]
    if results["parsing_errors"]:
        raise ValueError(f"checkov cannot read {template}")
    return Scan(
        "checkov",
        tuple(f"{one['check_id']} {one['resource']}: {one['check_name']}" for one in results["failed_checks"]),
        tuple(
            (one["check_id"], one["resource"].rpartition(".")[2], one["check_result"]["suppress_comment"])
            for one in results["skipped_checks"]
        ),
    )


def cfn_lint(*templates: Path) -> Scan:
    """Run cfn-lint; a finding is the rule's id, the path in the template and the message."""
    done = subprocess.run([CFN_LINT, "--format", "json", *templates], capture_output=True, text=True, check=False)
    found: list[dict[str, Any]] = json.loads(done.stdout)
    places = [".".join(map(str, one["Location"]["Path"] or [])) for one in found]
    texts = (f"{one['Rule']['Id']} {at}: {one['Message']}" for one, at in zip(found, places, strict=True))
    return Scan("cfn-lint", tuple(texts))


def own_rules(view: View) -> Scan:
    """Run our own rules."""
    return Scan("own rules", tuple(map(str, check(view))))


def of_lake() -> Iterator[Scan]:
    """Run every scanner over our template as it is deployed, and cfn-lint also over its source."""
    with tempfile.TemporaryDirectory() as folder:
        rendered, everything = Path(folder) / "template.json", Path(folder) / "everything.json"
        rendered.write_text(render_template())
        template = json.loads(rendered.read_text())
        for resource in template["Resources"].values():
            resource.pop("Condition", None)  # otherwise checkov skips what the parameters' defaults disable
        everything.write_text(json.dumps(template))
        yield checkov(everything)
        yield cfn_lint(rendered, TEMPLATE)
    yield own_rules(View.of_lake())


def of_naive() -> Iterator[Scan]:
    """Run every scanner over the naive template."""
    yield checkov(NAIVE)
    yield cfn_lint(NAIVE)
    yield own_rules(View.of_file(NAIVE))


def main(argv: list[str]) -> int:
    """Print findings, suppressions and counts; returns 0 when the counts are as required, else 1."""
    if argv:
        print("usage: python -m infrastructure.scanners", file=sys.stderr)
        return 2
    ours, naive = list(of_lake()), list(of_naive())
    for scan in ours:
        for finding in scan.findings:
            print(f"{scan.scanner}: {finding}")
        for rule, resource, reason in scan.suppressed:
            print(f"suppressed: {rule} {resource}: {reason}")
    print(f"\n{'findings':12}{'ours':>6}{'naive':>8}")
    for here, there in zip(ours, naive, strict=True):
        print(f"{here.scanner:12}{len(here.findings):>6}{len(there.findings):>8}")
    found = sum(len(scan.findings) for scan in ours)
    expected = sum(len(scan.findings) for scan in naive)
    suppressed = sum(len(scan.suppressed) for scan in ours)
    print(f"{'together':12}{found:>6}{expected:>8}")
    print(f"{suppressed} suppressed, {len(RULES)} rules of our own")
    wrong = []
    if found:
        wrong.append(f"{found} findings in our template")
    if suppressed > MOST_SUPPRESSED:
        wrong.append(f"{suppressed} suppressions, more than {MOST_SUPPRESSED}")
    if expected < LEAST_NAIVE:
        wrong.append(f"only {expected} findings in {NAIVE.name}, fewer than {LEAST_NAIVE}: a scanner does not work")
    for text in wrong:
        print(f"error: {text}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
