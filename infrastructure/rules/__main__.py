"""``python -m infrastructure.rules [TEMPLATE]``: what our rules find in TEMPLATE (default: ours, as it is deployed)."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from infrastructure.rules import RULES, View, check


def main(arguments: list[str] | None = None) -> int:
    """Print all findings; returns 0 if there are none, 1 if there are some, 2 when the template cannot be read."""
    parser = argparse.ArgumentParser(prog="python -m infrastructure.rules", description="Our own security rules.")
    parser.add_argument("template", nargs="?", type=Path, help="YAML or JSON (default: ours, as it is deployed)")
    path: Path | None = parser.parse_args(arguments).template
    try:
        view = View.of_file(path) if path else View.of_lake()
    except (OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    findings = check(view)
    for finding in findings:
        print(finding)
    print(f"{len(findings)} findings by {len(RULES)} rules in {len(view.resources)} resources")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
