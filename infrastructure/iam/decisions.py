"""``python -m infrastructure.iam.decisions TIER CALLS...``: takes homes' records of IAM's decisions into used.json.

TIER is the tier of tests that made the calls; CALLS are its homes' files ``calls.jsonl`` (``pytest --calls FOLDER``).
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from infrastructure.cfn.template import parse_template
from infrastructure.iam import used
from infrastructure.iam.grants import STACK, granted
from infrastructure.iam.used import Call
from infrastructure.package import render_template

DEPLOYMENTS = (("local", "home"), ("test", "unit"))  # the home's, and that of tests/conftest.py
DEVELOPER = "user/lake-developer"  # whose keys the home gives to its user


def read(paths: Iterable[Path]) -> Iterator[dict[str, Any]]:
    """The decisions of some records, which are files of JSON lines: principal, action, resource, allowed."""
    for path in paths:
        yield from map(json.loads, path.read_text().splitlines())


def calls(decisions: Iterable[Mapping[str, Any]]) -> set[Call]:
    """The calls of the template's roles among the decisions.

    The home's developer counts as an operator, whose two policies he has.
    """
    found = set()
    for decision in decisions:
        name = generalized(decision["principal"])
        role = "operator" if name == DEVELOPER else name.removeprefix(f"role/{STACK}-")
        if role != name:
            found.add(Call(role, decision["action"], generalized(decision["resource"]), decision["allowed"]))
    return found


def generalized(name: str) -> str:
    """A name in the home, or in a test's deployment, with placeholders for what differs between deployments."""
    text = name.replace("arn:aws:", "arn:${AWS::Partition}:")
    text = re.sub(r"\b[0-9]{12}\b", "${AWS::AccountId}", text)
    text = re.sub(r"\b[a-z]{2}-[a-z]+-[0-9]\b", "${AWS::Region}", text)
    text = re.sub(r"\b[0-9a-f]{64}\b", "${Code}", text)  # the code's hash
    for environment, suffix in DEPLOYMENTS:
        text = text.replace(f"sakila-streams-{environment}", STACK)
        text = re.sub(rf"(:::{re.escape(STACK)}-[a-z]+)-{suffix}\b", r"\1-${Suffix}", text)
        text = re.sub(rf"(:dms:.*:(?:rep|task|endpoint)):{environment}-", r"\1:${Environment}-", text)
    return text


def main(arguments: list[str]) -> int:
    """Take them in; 2 for a wrong call."""
    match arguments:
        case [tier, *files] if tier in used.TIERS and files:
            grants = granted(parse_template(render_template()))
            found = used.uses(grants, calls(read(map(Path, files))))
            used.write(used.merged(used.read(), tier, found, grants))
            print(f"{tier}: {len(found)} of {len(grants)} grants used")
            return 0
        case _:
            print(__doc__, file=sys.stderr)
            return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
