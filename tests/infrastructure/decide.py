"""Prints the decisions of the emulator's IAM; runs in its environment. Standard input: cases of policy and calls."""

from __future__ import annotations

import json
import sys
from typing import Any

from ministack.core.iam_evaluator import EvalContext, evaluate, parse_policy_document


def allowed(policy: list[Any], action: str, resource: str) -> bool:
    context = EvalContext(
        principal_arn="arn:aws:iam::123456789012:role/any",
        principal_type="AssumedRole",
        principal_account="123456789012",
        action=action,
        resource_arn=resource,
        region="us-east-1",
    )
    return bool(evaluate(context, [policy]).decision == "Allow")


def main() -> None:
    answers = []
    for statements, questions in json.load(sys.stdin):
        policy = parse_policy_document({"Version": "2012-10-17", "Statement": statements})
        answers.append([allowed(policy, *question) for question in questions])
    json.dump(answers, sys.stdout)


if __name__ == "__main__":
    main()
