"""The lake deployed in a real home, with what tests of deployments need: list operations, changed templates, rows."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import boto3
import botocore
import pymysql
import pytest
from botocore.exceptions import BotoCoreError, ClientError

from datalake.names import LAMBDA_PREFIX
from infrastructure import deploy as deployment
from infrastructure import package
from infrastructure.cfn.template import parse_template
from infrastructure.command_line import Terminal
from infrastructure.package import Artifact, Code, build_code
from local.engines import mysql
from tests.support.lake_home import LAKE, LakeHome

LISTING = ("List", "Describe", "Get")
# Services whose name in boto3 differs from that in their resource types
SERVICES = {"kinesisfirehose": "firehose"}
# Operations that list no resources of the lake, or what remains on AWS too and is not billed.
IGNORED = {
    ("kms", "ListKeys"): "a deleted key waits for seven days; that it does is checked",
    ("cloudformation", "ListStacks"): "deleted stacks are listed for ninety days",
    ("cloudwatch", "ListMetrics"): "CloudWatch forgets metrics by itself",
    ("cloudwatch", "DescribeAlarmHistory"): "is kept for a month",
    ("iam", "GetUser"): "the caller, with the present time",
    ("secretsmanager", "GetRandomPassword"): "makes one up",
}


@dataclass
class Deployed:
    """A home with the lake in it, and what every list operation returned before."""

    home: LakeHome
    before: dict[str, Any]
    lines: list[str]

    def deploy(self, terminal: Terminal | None = None, allowed: tuple[str, ...] = (), **given: str) -> dict[str, str]:
        self.lines.clear()
        ca = mysql.ca_path(self.home.settings).read_text()
        parameters = {**package.parameters_of(LAKE.environment), "MySqlCa": ca, **given}
        return deployment.deploy(
            LAKE, parameters, self.home.sakila, self.home.clients, self.lines.append, terminal, allowed
        )

    def stack(self) -> dict[str, Any]:
        found: dict[str, Any] = self.home.clients("cloudformation").describe_stacks(StackName=LAKE.stack)["Stacks"][0]
        return found


def everything(home: LakeHome) -> dict[str, Any]:
    """The replies of all list operations without required arguments, in all services of the template."""
    types = {one["Type"].lower().split("::")[1] for one in template()["Resources"].values()}
    services = {SERVICES.get(name, name) for name in types} | {"logs", "cloudwatch", "events", "ssm"}
    replies: dict[str, Any] = {}
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("AWS_MAX_ATTEMPTS", "1")
        clients = {
            name: home.clients(name) for name in sorted(services & set(boto3.Session().get_available_services()))
        }
    for service, client in clients.items():
        for name in client.meta.service_model.operation_names:
            input_shape = client.meta.service_model.operation_model(name).input_shape
            if (
                not name.startswith(LISTING)
                or (input_shape and input_shape.required_members)
                or (service, name) in IGNORED
            ):
                continue
            with suppress(ClientError, BotoCoreError):  # the emulator and our server implement a part of each service
                reply = getattr(client, botocore.xform_name(name))()
                reply.pop("ResponseMetadata", None)
                replies[f"{service}:{name}"] = json.loads(json.dumps(reply, default=str, sort_keys=True))
    return replies


def template() -> dict[str, Any]:
    return parse_template(package.TEMPLATE.read_text())


def deploy_instead(monkeypatch: pytest.MonkeyPatch, changed: dict[str, Any]) -> None:
    """Let the next deployments take this template."""
    monkeypatch.setattr(deployment, "render_template", lambda: json.dumps(package._with_files(changed)))


def other_code(text: str) -> Code:
    """The code of a deployment with another function."""
    code = build_code()
    body = package.zip_bytes([("csv_to_parquet.py", f"def handler(event, context): return {text!r}".encode())])
    key = f"{LAMBDA_PREFIX}{text * 64}.zip"
    kept = tuple(one for one in code.artifacts if one.key != code.lambda_code_key)
    return replace(code, lambda_code_key=key, artifacts=(Artifact(key, body), *kept))


def physical_ids(home: LakeHome) -> dict[str, str]:
    pages = home.clients("cloudformation").get_paginator("list_stack_resources").paginate(StackName=LAKE.stack)
    return {
        one["LogicalResourceId"]: one["PhysicalResourceId"] for page in pages for one in page["StackResourceSummaries"]
    }


def run_in_mysql(home: LakeHome, *statements: str) -> Any:
    """Run statements with the secret's login; returns the last one's rows."""
    secret = json.loads(home.clients("secretsmanager").get_secret_value(SecretId=LAKE.mysql_secret)["SecretString"])
    login = {"host": secret["host"], "port": secret["port"], "user": secret["username"], "password": secret["password"]}
    ca = str(mysql.ca_path(home.settings))
    with (
        pymysql.connect(**login, ssl_ca=ca, database="sakila", autocommit=True) as connection,
        connection.cursor() as cursor,
    ):
        for statement in statements:
            cursor.execute(statement)
        return cursor.fetchall()
