"""The check of requests and replies against botocore's models: what it finds, in which words, that it is on."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from local.aws.protocol import AwsError, Caller, Handler, Request, Services
from local.aws.server import SERVICE_APIS
from local.aws.service_models import UNLIKE_AWS, answered, check_request, operation, reply_faults
from tests.support.aws_services import LakeServer, running_emulator, running_server

CALLER = Caller("arn:aws:iam::123456789012:root", "arn:aws:iam::123456789012:root", "test")
STREAM = {"DeliveryStreamName": "events"}
COLUMN = {"Name": "a", "Type": "int", "Comment": "two\nlines"}
TABLE = {"DatabaseName": "d", "TableInput": {"Name": "t", "StorageDescriptor": {"Columns": [COLUMN]}}}
START = {"ReplicationTaskArn": "arn:t", "StartReplicationTaskType": "start-replication"}


def refused(service: str, action: str, payload: Any) -> AwsError:
    with pytest.raises(AwsError) as caught:
        check_request(service, action, payload)
    return caught.value


class TestRequests:
    @pytest.mark.parametrize(
        ("service", "action", "payload", "code", "message"),
        [
            ("firehose", "PutRecord", STREAM, "ValidationException",
             "1 validation error detected: Value null at 'record' failed to satisfy constraint: Member must not be "
             "null"),
            ("firehose", "PutRecordBatch", {**STREAM, "Records": []}, "ValidationException",
             "at 'records' failed to satisfy constraint: Member must have length greater than or equal to 1"),
            ("firehose", "PutRecordBatch",
             {**STREAM, "Records": [{"Data": ""}, {"Data": base64.b64encode(bytes(1_024_001)).decode()}]},
             "ValidationException", "'records.2.member.data' failed to satisfy constraint: Member must have length "
             "less than or equal to 1024000"),
            ("firehose", "DescribeDeliveryStream", {"DeliveryStreamName": "a b"}, "ValidationException",
             "Value 'a b' at 'deliveryStreamName' failed to satisfy constraint: Member must satisfy regular "
             "expression pattern: [a-zA-Z0-9_.-]+"),
            ("firehose", "ListDeliveryStreams", {"DeliveryStreamType": "Nope"}, "ValidationException",
             "Value 'Nope' at 'deliveryStreamType' failed to satisfy constraint: Member must satisfy enum value set: "
             "[DirectPut, KinesisStreamAsSource, "),
            ("firehose", "ListDeliveryStreams", {"Limit": 0}, "ValidationException",
             "Value '0' at 'limit' failed to satisfy constraint: Member must have value greater than or equal to 1"),
            ("glue", "CreateTable", TABLE, "ValidationException",
             "at 'tableInput.storageDescriptor.columns.1.member.comment' failed to satisfy constraint: Member must "
             "satisfy regular expression pattern"),
            ("glue", "CreateJob", {}, "ValidationException",
             "3 validation errors detected: Value null at 'name' failed to satisfy constraint: Member must not be "
             "null; Value null at 'role'"),
            ("athena", "StartQueryExecution", {"QueryString": ""}, "InvalidRequestException",
             "Value '' at 'queryString' failed to satisfy constraint"),
            ("dms", "StartReplicationTask", {"ReplicationTaskArn": "x"}, "InvalidParameterValueException",
             "Value null at 'startReplicationTaskType'"),
            ("dms", "StartReplicationTask", {**START, "Nope": 1}, "InvalidParameterValueException",
             "Nope is not a parameter of StartReplicationTask"),
            ("cloudformation", "CreateStack", {"Action": "CreateStack", "Version": "2010-05-15"}, "ValidationError",
             "Value null at 'stackName'"),
            ("cloudformation", "DescribeStacks", {"StackNames": "a"}, "ValidationError", "StackNames is not a param"),
            ("cloudformation", "CreateStack", {"StackName": "a", "DisableRollback": "maybe"}, "SerializationException",
             "STRING_VALUE can not be converted to Boolean"),
            ("firehose", "ListDeliveryStreams", {"Limit": "10"}, "SerializationException",
             "STRING_VALUE can not be converted to Integer"),
            ("firehose", "DescribeDeliveryStream", {"DeliveryStreamName": 7}, "SerializationException",
             "NUMBER_VALUE can not be converted to String"),
            ("glue", "GetTable", {"DatabaseName": ["d"], "Name": "t"}, "SerializationException",
             "Start of list found where not expected."),
            ("glue", "GetTable", None, "SerializationException", "Expected a value"),
        ],
    )  # fmt: skip
    def test_what_breaks_the_model_is_refused_in_the_services_words(
        self, service: str, action: str, payload: Any, code: str, message: str
    ) -> None:
        error = refused(service, action, payload)
        assert error.code == code
        assert message in error.message

    def test_what_fits_passes(self) -> None:
        check_request("glue", "GetTable", {"DatabaseName": "d", "Name": "t", "TransactionId": None})
        check_request("glue", "CreateTable", {"DatabaseName": "d", "TableInput": {"Name": "emoji 🎬 and ümlaut"}})
        check_request(
            "firehose", "PutRecord", {**STREAM, "Record": {"Data": base64.b64encode(bytes(1_024_000)).decode()}}
        )
        form = {"Action": "CreateStack", "StackName": "a", "Tags.member.1.Key": "P", "Tags.member.1.Value": "1"}
        check_request("cloudformation", "CreateStack", form)


class TestReplies:
    @pytest.mark.parametrize(
        ("service", "action", "reply", "fault"),
        [
            ("firehose", "PutRecord", {"RecordId": "x", "Surprise": 1}, "Surprise: no member of the model"),
            ("firehose", "PutRecord", {"Encrypted": True}, "RecordId: Member must not be null"),
            ("firehose", "PutRecord", {"RecordId": 1}, "RecordId: NUMBER_VALUE"),
            ("firehose", "PutRecord", {"RecordId": "x", "Encrypted": None}, "Encrypted: null, which AWS leaves out"),
            ("glue", "GetJobRun", {"JobRun": {"JobRunState": "DONE"}}, "JobRunState: 'DONE': Member must satisfy enum"),
            ("glue", "GetJobRun", {"JobRun": {"StartedOn": "today"}}, "JobRun.StartedOn: STRING_VALUE"),
            ("athena", "GetQueryResults", {"ResultSet": {"Rows": [{"Data": [{"Nope": ""}]}]}},
             "ResultSet.Rows.1.member.Data.1.member.Nope: no member"),
            ("cloudformation", "DescribeStacks", "<DescribeStacksResponse><DescribeStacksResult><Stacks><member>"
             "<StackName>a</StackName><CreationTime>2026-01-01T00:00:00Z</CreationTime><StackStatus>DONE</StackStatus>"
             "</member></Stacks></DescribeStacksResult></DescribeStacksResponse>", "Stacks.1.member.StackStatus"),
            ("cloudformation", "CreateStack", "<CreateStackResponse><CreateStackResult><Id>a</Id></CreateStackResult>"
             "</CreateStackResponse>", "Id: no member of the model"),
        ],
    )  # fmt: skip
    def test_a_reply_that_breaks_the_model_is_found(self, service: str, action: str, reply: Any, fault: str) -> None:
        assert any(fault in said for said in reply_faults(service, action, reply)), reply_faults(service, action, reply)

    def test_a_reply_that_fits_has_no_faults(self) -> None:
        assert reply_faults("firehose", "PutRecord", {"RecordId": "x", "Encrypted": True}) == []
        event = "<StackEvents><member><StackId>a</StackId><EventId>b</EventId><StackName>c</StackName><Timestamp>"
        event += "2026-01-01T00:00:00Z</Timestamp><ResourceStatus>REVIEW_IN_PROGRESS</ResourceStatus></member>"
        reply = f"<R><DescribeStackEventsResult>{event}</StackEvents></DescribeStackEventsResult></R>"
        assert reply_faults("cloudformation", "DescribeStackEvents", reply) == []
        run = {"Id": "jr", "JobRunState": "RUNNING", "StartedOn": datetime.now(UTC), "ExecutionTime": 1}
        assert reply_faults("glue", "GetJobRun", {"JobRun": run}) == []


class Wrong:
    """A service whose reply lacks what AWS's model requires."""

    service, passes_through = "firehose", False

    def __init__(self, _: Services) -> None:
        self.actions: dict[str, Handler] = {"ListDeliveryStreams": lambda _: {"DeliveryStreamNames": []}}

    def start(self) -> None:
        """Nothing."""

    def stop(self) -> None:
        """Nothing."""


def raising(error: AwsError) -> Handler:
    def handler(_: Request) -> Any:
        raise error

    return handler


class TestErrors:
    @pytest.mark.parametrize(
        ("error", "fault"),
        [
            (AwsError("ResourceNotFoundException", "gone"), ""),  # declared
            (AwsError("AccessDeniedException", "no"), ""),  # common to all actions
            (AwsError("ResourceInUseException", "busy"), "DescribeDeliveryStream does not declare ResourceInUseExc"),
            (AwsError("ResourceNotFoundException", "gone", Why="deleted"), "Exception has no member Why"),
        ],
    )
    def test_an_error_that_the_action_cannot_give_is_found(
        self, error: AwsError, fault: str, replies_unlike_aws: list[str]
    ) -> None:
        with pytest.raises(AwsError) as caught:
            answered(raising(error), Request("firehose", "DescribeDeliveryStream", STREAM, CALLER))
        assert caught.value is error
        assert [fault in said for said in replies_unlike_aws] == ([True] if fault else [])
        replies_unlike_aws.clear()


@pytest.mark.services
class TestSwitchedOn:
    def test_every_action_of_every_service_has_a_model(self, lake_server: LakeServer) -> None:
        apis = lake_server.server.apis
        assert len(apis) == len(SERVICE_APIS)
        actions = [(api.service, action) for api in apis for action in api.actions]
        assert len(actions) > 100
        assert [action for action in actions if operation(*action) is None] == []

    def test_a_reply_unlike_aws_fails_the_test_that_made_it(
        self, tmp_path: Path, replies_unlike_aws: list[str]
    ) -> None:
        with running_emulator(tmp_path) as emulator, running_server(emulator, (Wrong,)) as lake:
            assert lake.client("firehose").list_delivery_streams()["DeliveryStreamNames"] == []
        # at the end of a test this list must be empty
        assert replies_unlike_aws == [
            f"{UNLIKE_AWS}: firehose:ListDeliveryStreams HasMoreDeliveryStreams: Member must not be null"
        ]
        replies_unlike_aws.clear()
