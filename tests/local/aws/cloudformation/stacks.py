"""Small stacks for the tests of the home's CloudFormation."""

from __future__ import annotations

import json
from typing import Any

from botocore.exceptions import ClientError

from local.engines.waiting import wait_until
from tests.support.aws_services import LakeServer


class Stacks:
    """One stack's life."""

    def __init__(self, server: LakeServer, name: str) -> None:
        self.server, self.name = server, name
        self.client = server.client("cloudformation")

    def describe(self) -> dict[str, Any]:
        try:
            found: dict[str, Any] = self.client.describe_stacks(StackName=self.name)["Stacks"][0]
        except ClientError as error:
            if "does not exist" not in str(error):
                raise
            return {"StackStatus": ""}
        return found

    def settled(self) -> str:
        wait_until(lambda: not self.describe()["StackStatus"].endswith("_IN_PROGRESS"), 60, "the stack did not settle")
        return str(self.describe()["StackStatus"])

    def create(self, template: dict[str, Any], **options: Any) -> str:
        self.client.create_stack(StackName=self.name, TemplateBody=json.dumps(template), **options)
        return self.settled()

    def update(self, template: dict[str, Any], **options: Any) -> str:
        self.client.update_stack(StackName=self.name, TemplateBody=json.dumps(template), **options)
        return self.settled()

    def delete(self) -> str:
        self.client.delete_stack(StackName=self.name)
        return self.settled()

    def reasons(self) -> dict[str, str]:
        events = self.client.describe_stack_events(StackName=self.name)["StackEvents"]
        return {
            event["LogicalResourceId"]: event.get("ResourceStatusReason", "")
            for event in events
            if event["ResourceStatus"].endswith("_FAILED")
        }

    def queues(self) -> list[str]:
        urls = self.server.emulator.client("sqs").list_queues(QueueNamePrefix=self.name).get("QueueUrls", [])
        return sorted(url.rpartition("/")[2] for url in urls)

    def databases(self) -> set[str]:
        found = self.server.client("glue").get_databases()["DatabaseList"]
        return {one["Name"] for one in found if one["Name"].startswith(self.name.replace("-", "_"))}


def queue(name: str, **properties: Any) -> dict[str, Any]:
    return {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": name, **properties}}


def database(name: str, **properties: Any) -> dict[str, Any]:
    return {"Type": "AWS::Glue::Database", "Properties": {"DatabaseInput": {"Name": name, **properties}}}


def stack_of(**resources: Any) -> dict[str, Any]:
    return {"Resources": resources}
