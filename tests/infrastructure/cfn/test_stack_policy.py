"""Stack policies are evaluated as CloudFormation's user guide says; test_template.py checks ours."""

from __future__ import annotations

import json
from typing import Any

import pytest

from infrastructure.cfn.stack_policy import denial, parse, without_denials

ALL = {"Effect": "Allow", "Principal": "*", "Action": "Update:*", "Resource": "*"}


def deny(**fields: Any) -> dict[str, Any]:
    return {"Effect": "Deny", "Principal": "*", "Action": "Update:*", "Resource": "LogicalResourceId/Db", **fields}


@pytest.mark.parametrize(
    ("statements", "denied"),
    [
        ([ALL], False),
        ([], True),  # a policy denies what no statement allows
        ([ALL, deny()], True),
        ([deny(), ALL], True),
        ([ALL, deny(Action=["Update:Replace", "Update:Delete"])], True),
        ([ALL, deny(Action="Update:Modify")], False),
        ([ALL, deny(Resource="LogicalResourceId/Other")], False),
        ([ALL, deny(Resource="LogicalResourceId/D*")], True),
        ([ALL, deny(Resource="*", Condition={"StringEquals": {"ResourceType": ["AWS::RDS::DBInstance"]}})], True),
        ([ALL, deny(Resource="*", Condition={"StringEquals": {"ResourceType": ["AWS::S3::Bucket"]}})], False),
        ([ALL, deny(Resource="*", Condition={"StringLike": {"ResourceType": ["AWS::RDS::*"]}})], True),
        ([{**ALL, "Action": "Update:Modify"}], True),
    ],
)
def test_what_a_policy_denies(statements: list[dict[str, Any]], denied: bool) -> None:
    assert bool(denial({"Statement": statements}, "Db", "AWS::RDS::DBInstance", "Update:Replace")) is denied


def test_not_resource_and_not_action() -> None:
    policy = {"Statement": [{**ALL, "NotResource": "LogicalResourceId/Db"}, ALL]}
    policy["Statement"][0].pop("Resource")
    assert denial(policy, "Db", "T", "Update:Delete") is None
    denying = deny(NotAction="Update:Modify")
    denying.pop("Action")
    assert denial({"Statement": [ALL, denying]}, "Db", "T", "Update:Modify") is None
    assert denial({"Statement": [ALL, denying]}, "Db", "T", "Update:Delete")


def test_a_denial_is_worded_as_cloudformation_words_it() -> None:
    assert denial({"Statement": [ALL, deny()]}, "Db", "T", "Update:Replace") == (
        "Action denied by stack policy: Statement [#2] does not allow [Update:Replace] for resource "
        "[LogicalResourceId/Db];"
    )


@pytest.mark.parametrize(
    "statement",
    [
        deny(),
        deny(Resource=["LogicalResourceId/Db", "LogicalResourceId/Other"]),
        deny(Resource="*"),
        deny(Resource="*", Condition={"StringEquals": {"ResourceType": ["T"]}}),
    ],
)
def test_lifting_a_denial_spares_the_others(statement: dict[str, Any]) -> None:
    policy = {"Statement": [ALL, statement]}
    lifted = parse(json.dumps(without_denials(policy, ["Db"])))
    assert denial(policy, "Db", "T", "Update:Delete")
    assert denial(lifted, "Db", "T", "Update:Delete") is None
    assert bool(denial(lifted, "Other", "T", "Update:Delete")) is bool(denial(policy, "Other", "T", "Update:Delete"))
    assert without_denials(policy, []) == policy


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"Statement": [{"Effect": "Deny", "Principal": "me", "Resource": "*"}]}',
             json.dumps({"Statement": [deny(Action="Update:Nothing")]}), json.dumps({"Statement": [deny(Colour=1)]})],
)  # fmt: skip
def test_what_is_no_policy(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 (JSON's own error is one, too)
        parse(text)
