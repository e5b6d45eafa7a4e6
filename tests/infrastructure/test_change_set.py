"""How change sets are shown and checked for data losses, and the calls that create and discard them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.stub import ANY, Stubber

from infrastructure import change_set as change_sets
from infrastructure.change_set import Change, ChangeSet, data_losses, rendered, summary
from infrastructure.deploy import refusal
from infrastructure.stack import DeployError

POLICY = {
    "Statement": [
        {"Effect": "Allow", "Principal": "*", "Action": "Update:*", "Resource": "*"},
        {"Effect": "Deny", "Principal": "*", "Action": ["Update:Replace", "Update:Delete"], "Resource": "*",
         "Condition": {"StringEquals": {"ResourceType": ["AWS::RDS::DBInstance", "AWS::S3::Bucket"]}}},
    ]
}  # fmt: skip


def detail(name: str, recreation: str = "Never", cause: str = "", evaluation: str = "Static") -> Any:
    target = {"Attribute": "Properties", "Name": name, "RequiresRecreation": recreation}
    return {"Target": target, "Evaluation": evaluation, "CausingEntity": cause}


def modify(logical: str, type_name: str, replacement: str, *details: Any) -> Change:
    return Change("Modify", logical, type_name, replacement, details=details)


def of(*changes: Change) -> ChangeSet:
    return ChangeSet("arn", "stack", False, changes)


DB, BUCKET, QUEUE = "AWS::RDS::DBInstance", "AWS::S3::Bucket", "AWS::SQS::Queue"


@pytest.mark.parametrize(
    ("changes", "lost"),
    [
        ([modify("Db", DB, "True", detail("DBName", "Always"))], ["Db"]),
        ([Change("Remove", "Zone", BUCKET, kept=True)], ["Zone"]),
        ([modify("Db", DB, "False", detail("DBInstanceClass"))], []),
        ([Change("Add", "Zone", BUCKET)], []),
        ([Change("Remove", "Q", QUEUE)], []),
        ([modify("Q", QUEUE, "True", detail("QueueName", "Always"))], []),
        # AWS decides during the update, where the stack policy applies
        ([modify("Db", DB, "Conditional", detail("BackupRetentionPeriod", "Conditionally"))], []),
        # a change of the key's policy makes every reference to its ARN "conditional"
        (
            [
                modify("Key", "AWS::KMS::Key", "False", detail("KeyPolicy")),
                modify("Db", DB, "Conditional", detail("KmsKeyId", "Always", "Key.Arn", "Dynamic")),
            ],
            [],
        ),
        # but replacing the key replaces the database, also indirectly
        (
            [
                modify("Db", DB, "Conditional", detail("KmsKeyId", "Always", "Middle.Arn", "Dynamic")),
                modify("Middle", QUEUE, "Conditional", detail("QueueName", "Always", "Key", "Dynamic")),
                modify("Key", "AWS::KMS::Key", "True", detail("KeySpec", "Always")),
            ],
            ["Db"],
        ),
    ],
)
def test_what_would_lose_data(changes: list[Change], lost: list[str]) -> None:
    assert [one.logical for one in data_losses(of(*changes), POLICY)] == lost
    assert bool(refusal(of(*changes), POLICY)) is bool(lost)
    assert data_losses(of(*changes), POLICY, lost) == []


def test_a_refusal_names_what_it_is_about_and_the_way_out() -> None:
    made = of(modify("Db", DB, "True", detail("DBName", "Always")), Change("Remove", "Zone", BUCKET))
    assert refusal(made, POLICY) == (
        f"Db ({DB}) would be replaced for DBName, Zone ({BUCKET}) would be removed; its data would be lost, so "
        "nothing was changed. To do it nevertheless: --replace Db --replace Zone"
    )


def test_the_dangerous_ones_are_shown_first() -> None:
    made = of(
        Change("Add", "New", QUEUE),
        modify("Q", QUEUE, "False", detail("DelaySeconds"), detail("Tags")),
        modify("Follows", QUEUE, "Conditional", detail("KmsMasterKeyId", "Never", "Key.Arn", "Dynamic")),
        modify("Maybe", DB, "Conditional", detail("BackupRetentionPeriod", "Conditionally")),
        Change("Remove", "Old", QUEUE),
        modify("Db", DB, "True", detail("DBName", "Always")),
    )
    assert list(rendered(made, POLICY)) == [
        f"replace     Db     {DB}  (DBName)  HOLDS DATA",
        f"remove      Old    {QUEUE}",
        f"replace?    Maybe  {DB}  (BackupRetentionPeriod)",
        f"add         New    {QUEUE}",
        f"change      Q      {QUEUE}  (DelaySeconds, Tags)",
        "and 1 that refer to these and may get new values",
    ]
    coloured = list(rendered(made, POLICY, colour=True))
    assert coloured[0].startswith("\033[1;31mreplace")
    assert summary(made) == "1 to add, 4 to change, 1 to remove (1 by replacement)"


REQUEST = {"StackName": "s", "TemplateURL": "https://x"}
CREATED = {"Id": "arn:aws:cloudformation:r:1:changeSet/c/1", "StackId": "arn:aws:cloudformation:r:1:stack/s/1"}
STACK = {"StackName": "s", "StackId": CREATED["StackId"], "CreationTime": "2026-11-01T00:00:00Z"}


@pytest.fixture
def cloudformation() -> Iterator[tuple[Any, Stubber]]:
    client = boto3.client("cloudformation", region_name="eu-west-1", aws_access_key_id="a", aws_secret_access_key="b")
    with Stubber(client) as stub:
        yield client, stub
        stub.assert_no_pending_responses()


def test_a_change_set_is_waited_for_and_read_to_its_last_page(cloudformation: tuple[Any, Stubber]) -> None:
    client, stub = cloudformation
    stub.add_response("describe_stacks", {"Stacks": [{**STACK, "StackStatus": "UPDATE_COMPLETE"}]})
    stub.add_response("create_change_set", CREATED, {**REQUEST, "ChangeSetName": ANY, "ChangeSetType": "UPDATE"})
    stub.add_response("describe_change_set", {"Status": "CREATE_PENDING", "Changes": []})
    stub.add_response("describe_change_set", {"Status": "CREATE_COMPLETE"})
    one = {"Action": "Add", "LogicalResourceId": "Q", "ResourceType": QUEUE}
    two = {**one, "Action": "Remove", "LogicalResourceId": "R", "PolicyAction": "Retain"}
    for number, (change, more) in enumerate(((one, {"NextToken": "1"}), (two, {}))):
        changes = [{"Type": "Resource", "ResourceChange": change}]
        asked = {"ChangeSetName": CREATED["Id"], **({"NextToken": "1"} if number else {})}
        stub.add_response("describe_change_set", {"Status": "CREATE_COMPLETE", "Changes": changes, **more}, asked)
    assert change_sets.create(client, REQUEST) == ChangeSet(
        CREATED["Id"], CREATED["StackId"], False, (Change("Add", "Q", QUEUE), Change("Remove", "R", QUEUE, kept=True))
    )


@pytest.mark.parametrize("reason", ["The submitted information didn't contain changes. Submit different information to "
                                    "create a change set.", "No updates are to be performed."])  # fmt: skip
def test_nothing_to_do_is_no_error_and_leaves_no_change_set(cloudformation: tuple[Any, Stubber], reason: str) -> None:
    client, stub = cloudformation
    stub.add_response("describe_stacks", {"Stacks": [{**STACK, "StackStatus": "CREATE_COMPLETE"}]})
    stub.add_response("create_change_set", CREATED)
    stub.add_response("describe_change_set", {"Status": "FAILED", "StatusReason": reason})
    stub.add_response("delete_change_set", {}, {"ChangeSetName": CREATED["Id"]})
    assert change_sets.create(client, REQUEST) is None


def test_a_failed_change_set_says_why_and_takes_its_empty_stack_along(cloudformation: tuple[Any, Stubber]) -> None:
    client, stub = cloudformation
    stub.add_client_error("describe_stacks", "ValidationError", "Stack with id s does not exist")
    stub.add_response("create_change_set", CREATED, {**REQUEST, "ChangeSetName": ANY, "ChangeSetType": "CREATE"})
    stub.add_response("describe_change_set", {"Status": "FAILED", "StatusReason": "Transform failed"})
    stub.add_response("delete_change_set", {})
    stub.add_response("describe_stacks", {"Stacks": [{**STACK, "StackStatus": "REVIEW_IN_PROGRESS"}]})
    stub.add_response("list_change_sets", {"Summaries": []})
    stub.add_response("delete_stack", {}, {"StackName": CREATED["StackId"]})
    with pytest.raises(DeployError, match="s: Transform failed"):
        change_sets.create(client, REQUEST)
