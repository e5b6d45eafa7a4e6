"""Stacks and resources as CloudFormation's replies print them."""

from __future__ import annotations

from infrastructure.cfn.intrinsics import Json
from local.aws.cloudformation.plan import template_of
from local.aws.cloudformation.stacks import Deployed, Resource, Stack


def shown_parameters(deployed: Deployed) -> list[Json]:
    """Parameters as replies print them: NoEcho ones without their values."""
    declared = template_of(deployed.template).get("Parameters") or {}
    secret = {name for name, one in declared.items() if str(one.get("NoEcho")).lower() == "true"}
    return [
        {"ParameterKey": name, "ParameterValue": "****" if name in secret else value}
        for name, value in deployed.parameters.items()
    ]


def described(stack: Stack) -> Json:
    """A stack as DescribeStacks and ListStacks print it."""
    return {
        "StackId": stack.id,
        "StackName": stack.name,
        "Description": stack.description or None,
        "TemplateDescription": stack.description or None,
        "Parameters": shown_parameters(stack.target),
        "CreationTime": stack.created,
        "LastUpdatedTime": stack.updated or None,
        "DeletionTime": stack.deleted or None,
        "StackStatus": stack.status,
        "StackStatusReason": stack.reason or None,
        "DisableRollback": False,
        "EnableTerminationProtection": False,
        "Capabilities": stack.target.capabilities,
        "Outputs": stack.outputs,
        "Tags": stack.target.tags,
    }


def resource_of(stack: Stack, logical: str, resource: Resource) -> Json:
    """One of our resources as DescribeStackResources prints it."""
    return {
        "StackName": stack.name,
        "StackId": stack.id,
        "LogicalResourceId": logical,
        "PhysicalResourceId": resource.physical or None,
        "ResourceType": resource.type,
        "Timestamp": resource.updated,
        "ResourceStatus": resource.status,
        "ResourceStatusReason": resource.reason or None,
    }
