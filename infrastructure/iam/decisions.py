"""``python -m infrastructure.iam.decisions TIER CALLS...``: updates used_grants.json from recorded IAM decisions.

TIER is the tier of tests that made the calls. CALLS are the files ``iam-decisions.jsonl`` in which its homes
recorded every IAM decision (``pytest --calls FOLDER`` collects them).
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from infrastructure.cfn.template import parse_template
from infrastructure.iam import used_grants
from infrastructure.iam.grants import STACK, granted
from infrastructure.iam.used_grants import Call
from infrastructure.package import render_template

DEPLOYMENTS = {"local": "home", "test": "unit"}  # environment: suffix, of the local home and of tests/conftest.py
DEVELOPER = "user/lake-developer"  # the IAM user whose keys `make env` prints


def read(paths: Iterable[Path]) -> Iterator[dict[str, Any]]:
    """Read recorded decisions from files of JSON lines with principal, action, resource and allowed."""
    for path in paths:
        yield from map(json.loads, path.read_text().splitlines())


def calls(decisions: Iterable[Mapping[str, Any]]) -> set[Call]:
    """The calls that the template's roles made.

    The home's developer counts as an operator, because that user has the same two policies.
    """
    found = set()
    for decision in decisions:
        name = generalized(decision["principal"])
        role = "operator" if name == DEVELOPER else name.removeprefix(f"role/{STACK}-")
        if role != name:
            found.add(Call(role, decision["action"], generalized(decision["resource"]), decision["allowed"]))
    return found


def generalized(name: str) -> str:
    """Replace in a name what differs between deployments (region, account, environment, ...) by placeholders."""
    text = name.replace("arn:aws:", "arn:${AWS::Partition}:")
    text = re.sub(r"\b[0-9]{12}\b", "${AWS::AccountId}", text)
    text = re.sub(r"\b[a-z]{2}-[a-z]+-[0-9]\b", "${AWS::Region}", text)
    text = re.sub(r"\b[0-9a-f]{64}\b", "${Code}", text)  # the code's hash
    for environment, suffix in DEPLOYMENTS.items():
        text = text.replace(f"sakila-streams-{environment}", STACK)
        text = re.sub(rf"(:::{re.escape(STACK)}-[a-z]+)-{suffix}\b", r"\1-${Suffix}", text)
        text = re.sub(rf"(:dms:.*:(?:rep|task|endpoint)):{environment}-", r"\1:${Environment}-", text)
    return text


def main(arguments: list[str]) -> int:
    """Update the file and print the counts; returns 2 for wrong arguments."""
    match arguments:
        case [tier, *files] if tier in used_grants.TIERS and files:
            grants = granted(parse_template(render_template()))
            found = used_grants.uses(grants, calls(read(map(Path, files))))
            used_grants.write(used_grants.merged(used_grants.read(), tier, found, grants))
            print(f"{tier}: {len(found)} of {len(grants)} grants used")
            return 0
        case _:
            print(__doc__, file=sys.stderr)
            return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
