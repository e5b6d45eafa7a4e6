"""Stacks created and updated by change sets, and stack policies: their states and refusals."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError
from botocore.model import OperationModel
from botocore.validate import ParamValidator

from local.aws import query_protocol
from local.engines.waiting import wait_until
from tests.local.aws.cloudformation.stacks import Stacks, database, queue, stack_of
from tests.support.aws_services import LakeServer

pytestmark = pytest.mark.services


@pytest.fixture(autouse=True)
def replies_fit_the_model(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every member of a reply is one that botocore's model of the service knows, with a type and value it allows."""
    write_reply, wrong = query_protocol.write_reply, []

    def judged(model: OperationModel, result: Any) -> str:
        shape = model.output_shape
        if shape is not None and ("ChangeSet" in model.name or "Policy" in model.name):
            bare = json.loads(
                json.dumps(result), object_hook=lambda one: {k: v for k, v in one.items() if v is not None}
            )
            report = ParamValidator().validate(bare, shape)
            wrong.extend([report.generate_report()] if report.has_errors() else [])
            wrong.extend(_not_enumerated(shape, bare))
        return write_reply(model, result)

    monkeypatch.setattr(query_protocol, "write_reply", judged)
    yield
    assert wrong == []


def _not_enumerated(shape: Any, value: Any) -> Iterator[str]:
    if shape.type_name == "structure":
        for name, item in value.items():
            yield from _not_enumerated(shape.members[name], item) if name in shape.members else ()
    elif shape.type_name == "list":
        for item in value:
            yield from _not_enumerated(shape.member, item)
    elif getattr(shape, "enum", None) and value not in shape.enum:
        yield f"{shape.name}: {value}"


def propose(stacks: Stacks, template: Any, kind: str = "UPDATE", name: str = "c") -> dict[str, Any]:
    """A change set, when it has been made or has failed."""
    made = stacks.client.create_change_set(
        StackName=stacks.name, ChangeSetName=name, ChangeSetType=kind, TemplateBody=json.dumps(template)
    )

    def described() -> dict[str, Any]:
        found: dict[str, Any] = stacks.client.describe_change_set(ChangeSetName=made["Id"])
        return found

    wait_until(lambda: described()["Status"] in ("CREATE_COMPLETE", "FAILED"), 60, "the change set was not made")
    return described()


def execute(stacks: Stacks, arn: str) -> str:
    stacks.client.execute_change_set(ChangeSetName=arn)
    return stacks.settled()


def test_a_stack_is_created_and_updated_by_change_sets(stacks: Stacks) -> None:
    first = stack_of(Q=queue(f"{stacks.name}-q"), D=database(stacks.name.replace("-", "_")))
    with pytest.raises(ClientError, match="does not exist"):
        propose(stacks, first)
    proposed = propose(stacks, first, "CREATE")
    assert (proposed["Status"], proposed["ExecutionStatus"]) == ("CREATE_COMPLETE", "AVAILABLE")
    assert [one["ResourceChange"]["Action"] for one in proposed["Changes"]] == ["Add", "Add"]
    assert stacks.describe()["StackStatus"] == "REVIEW_IN_PROGRESS"
    assert stacks.queues() == []
    assert stacks.client.describe_stack_resources(StackName=stacks.name)["StackResources"] == []
    assert execute(stacks, proposed["ChangeSetId"]) == "CREATE_COMPLETE"
    assert stacks.queues() == [f"{stacks.name}-q"]
    executed = stacks.client.describe_change_set(ChangeSetName=proposed["ChangeSetId"])
    assert executed["ExecutionStatus"] == "EXECUTE_COMPLETE"
    with pytest.raises(ClientError, match=r"InvalidChangeSetStatus.*EXECUTE_COMPLETE"):
        stacks.client.execute_change_set(ChangeSetName=proposed["ChangeSetId"])
    with pytest.raises(ClientError, match="already exists"):
        propose(stacks, first, "CREATE", "again")

    nothing = propose(stacks, first, name="nothing")
    assert (nothing["Status"], nothing["ExecutionStatus"]) == ("FAILED", "UNAVAILABLE")
    assert "The submitted information didn't contain changes." in nothing["StatusReason"]
    with pytest.raises(ClientError, match=r"InvalidChangeSetStatus.*FAILED"):
        stacks.client.execute_change_set(ChangeSetName=nothing["ChangeSetId"])

    second = stack_of(Q=queue(f"{stacks.name}-q", DelaySeconds=5), D=database(stacks.name.replace("-", "_")))
    other = propose(stacks, second, name="other")
    proposed = propose(stacks, second, name="second")
    listed = stacks.client.list_change_sets(StackName=stacks.name)["Summaries"]
    assert {one["ChangeSetName"]: one["Status"] for one in listed} == {
        "c": "CREATE_COMPLETE", "nothing": "FAILED", "other": "CREATE_COMPLETE", "second": "CREATE_COMPLETE",
    }  # fmt: skip
    assert execute(stacks, proposed["ChangeSetId"]) == "UPDATE_COMPLETE"
    with pytest.raises(ClientError, match="ChangeSetNotFound"):  # AWS deletes all others
        stacks.client.describe_change_set(ChangeSetName=other["ChangeSetId"])
    assert stacks.describe()["StackStatus"] == "UPDATE_COMPLETE"


def test_a_change_set_that_is_not_wanted_leaves_nothing(stacks: Stacks) -> None:
    proposed = propose(stacks, stack_of(Q=queue(f"{stacks.name}-q")), "CREATE")
    stacks.client.delete_change_set(ChangeSetName=proposed["ChangeSetId"])
    stacks.client.delete_change_set(ChangeSetName=proposed["ChangeSetId"])  # as on AWS: no error
    assert stacks.client.list_change_sets(StackName=stacks.name)["Summaries"] == []
    assert stacks.describe()["StackStatus"] == "REVIEW_IN_PROGRESS"
    assert stacks.delete() == ""
    assert stacks.queues() == []


def test_an_update_past_a_change_set_makes_it_obsolete(stacks: Stacks) -> None:
    stacks.create(stack_of(Q=queue(f"{stacks.name}-q")))
    proposed = propose(stacks, stack_of(Q=queue(f"{stacks.name}-q", DelaySeconds=5)))
    stacks.update(stack_of(Q=queue(f"{stacks.name}-q", DelaySeconds=6)))
    with pytest.raises(ClientError, match=r"InvalidChangeSetStatus.*OBSOLETE"):
        stacks.client.execute_change_set(ChangeSetName=proposed["ChangeSetId"])


def test_many_changes_come_in_pages(stacks: Stacks) -> None:
    many = stack_of(**{f"Q{n}": queue(f"{stacks.name[:20]}-{n}") for n in range(130)})
    proposed = propose(stacks, many, "CREATE")
    assert len(proposed["Changes"]) == 100
    pages = stacks.client.get_paginator("describe_change_set").paginate(ChangeSetName=proposed["ChangeSetId"])
    assert sum(len(page["Changes"]) for page in pages) == 130


def test_what_the_home_does_not_do_is_refused_by_name(stacks: Stacks) -> None:
    body = {"ChangeSetName": "c", "StackName": stacks.name, "TemplateBody": json.dumps(stack_of(Q=queue("q")))}
    for option in ({"OnStackFailure": "DELETE"}, {"RoleARN": f"arn:aws:iam::{'1' * 12}:role/r"}):
        with pytest.raises(ClientError, match=next(iter(option))):
            stacks.client.create_change_set(**body, ChangeSetType="CREATE", **option)
    with pytest.raises(ClientError, match="import"):
        stacks.client.create_change_set(**body, ChangeSetType="IMPORT")


POLICY = {
    "Statement": [
        {"Effect": "Allow", "Principal": "*", "Action": "Update:*", "Resource": "*"},
        {"Effect": "Deny", "Principal": "*", "Action": ["Update:Replace", "Update:Delete"], "Resource": "*",
         "Condition": {"StringEquals": {"ResourceType": ["AWS::SQS::Queue"]}}},
    ]
}  # fmt: skip


def test_the_stack_policy_stops_what_it_denies_before_anything_changes(stacks: Stacks) -> None:
    name = stacks.name.replace("-", "_")
    first = stack_of(
        Q=queue(f"{stacks.name}-q"), Kept=queue(f"{stacks.name}-k"), D=database(name, Description="before")
    )
    stacks.create(first, StackPolicyBody=json.dumps(POLICY))
    assert json.loads(stacks.client.get_stack_policy(StackName=stacks.name)["StackPolicyBody"]) == POLICY
    second = stack_of(Q=queue(f"{stacks.name}-other"), D=database(name, Description="after"))
    assert execute(stacks, propose(stacks, second)["ChangeSetId"]) == "UPDATE_ROLLBACK_COMPLETE"
    assert stacks.reasons() == {
        "Q": "Action denied by stack policy: Statement [#2] does not allow [Update:Replace] for resource "
        "[LogicalResourceId/Q];",
        "Kept": "Action denied by stack policy: Statement [#2] does not allow [Update:Delete] for resource "
        "[LogicalResourceId/Kept];",
    }
    assert stacks.queues() == [f"{stacks.name}-k", f"{stacks.name}-q"]
    glue = stacks.server.client("glue")
    assert glue.get_database(Name=name)["Database"]["Description"] == "before"
    assert stacks.client.get_template(StackName=stacks.name)["TemplateBody"] == first
    change = stacks.client.list_change_sets(StackName=stacks.name)["Summaries"][0]
    assert change["ExecutionStatus"] == "EXECUTE_FAILED"

    allowed = stack_of(Q=queue(f"{stacks.name}-q", DelaySeconds=1), Kept=queue(f"{stacks.name}-k"), D=database(name))
    assert stacks.update(allowed) == "UPDATE_COMPLETE"
    everything = {"Statement": POLICY["Statement"][:1]}
    stacks.client.set_stack_policy(StackName=stacks.name, StackPolicyBody=json.dumps(everything))
    assert stacks.update(stack_of(Q=queue(f"{stacks.name}-q"), D=database(name))) == "UPDATE_COMPLETE"
    assert stacks.queues() == [f"{stacks.name}-q"]


@pytest.mark.parametrize("text", ["{", "[]", '{"Statement": [{"Effect": "Deny", "Principal": "me"}]}'])
def test_a_policy_that_is_none_is_refused(server: LakeServer, text: str) -> None:
    stacks = Stacks(server, "policy")
    with pytest.raises(ClientError, match="Error validating stack policy"):
        stacks.client.create_stack(
            StackName="policy", TemplateBody=json.dumps(stack_of(Q=queue("q"))), StackPolicyBody=text
        )
