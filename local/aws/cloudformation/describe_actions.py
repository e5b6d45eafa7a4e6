"""The actions that change nothing: they describe stacks, events, resources and templates."""

from __future__ import annotations

from collections.abc import Callable

from infrastructure.cfn.intrinsics import Json
from local.aws.cloudformation.emulated_stack import EmulatedStack
from local.aws.cloudformation.errors import invalid
from local.aws.cloudformation.plan import template_of
from local.aws.cloudformation.resource_types.recorded import RECORDED
from local.aws.cloudformation.stacks import IN_REVIEW, Deployed, Resource, Stack, Store

PAGE = 100


def page(found: list[Json], given: Json, name: str) -> Json:
    """One page of a reply's list, and the token of the next."""
    begin = int(given.get("NextToken") or 0)
    more = {"NextToken": str(begin + PAGE)} if begin + PAGE < len(found) else {}
    return {name: found[begin : begin + PAGE], **more}


class DescribeActions:
    """``template_text`` gives the template that a request names; ``own_types`` are the names of the types we make."""

    def __init__(
        self, store: Store, emulated: EmulatedStack, template_text: Callable[[Json], str], own_types: set[str]
    ) -> None:
        self._store, self._emulated, self._template_text = store, emulated, template_text
        self._ours = own_types | RECORDED.keys()

    @property
    def actions(self) -> dict[str, Callable[[Json], Json]]:
        """The methods by action name."""
        return {
            "DescribeStacks": self._describe_stacks,
            "DescribeStackEvents": self._describe_events,
            "DescribeStackResource": self._describe_resource,
            "DescribeStackResources": self._describe_resources,
            "ListStackResources": self._list_resources,
            "ListStacks": self._list_stacks,
            "GetTemplate": self._get_template,
            "GetStackPolicy": self._get_policy,
            "ValidateTemplate": self._validate_template,
        }

    def stack(self, given: Json) -> Stack:
        """The stack that a request names; raises ValidationError."""
        stack = self._store.find(given["StackName"])
        if stack is None:
            raise invalid(f"Stack with id {given['StackName']} does not exist")
        return stack

    def physical(self, stack: Stack) -> dict[str, str]:
        """Physical ids of everything that the stack holds."""
        found = self._resources(stack)
        return {one["LogicalResourceId"]: one["PhysicalResourceId"] for one in found if one.get("PhysicalResourceId")}

    def _describe_stacks(self, given: Json) -> Json:
        if given.get("StackName"):
            return {"Stacks": [_described(self.stack(given))]}
        return {"Stacks": [_described(stack) for stack in self._store if stack.status != "DELETE_COMPLETE"]}

    def _describe_events(self, given: Json) -> Json:
        return page(self.stack(given).events[::-1], given, "StackEvents")

    def _resources(self, stack: Stack) -> list[Json]:
        """Every resource of a stack, ours and the emulator's, in the template's order."""
        found = [] if stack.status in ("DELETE_COMPLETE", IN_REVIEW) else self._emulated.resources(stack.name)
        for resource in found:
            resource["StackName"], resource["StackId"] = stack.name, stack.id
        found += [_resource_of(stack, logical, resource) for logical, resource in list(stack.resources.items())]
        order = list(template_of(stack.target.template)["Resources"])
        place = {name: index for index, name in enumerate(order)}
        return sorted(found, key=lambda resource: place.get(resource["LogicalResourceId"], len(place)))

    def _describe_resources(self, given: Json) -> Json:
        if not given.get("StackName"):
            raise invalid("The local home describes the resources of one stack: StackName must be given")
        found = self._resources(self.stack(given))
        logical = given.get("LogicalResourceId")
        return {"StackResources": [one for one in found if logical in (None, one["LogicalResourceId"])]}

    def _describe_resource(self, given: Json) -> Json:
        stack = self.stack(given)
        for resource in self._resources(stack):
            if resource["LogicalResourceId"] == given["LogicalResourceId"]:
                return {"StackResourceDetail": {**resource, "LastUpdatedTimestamp": resource["Timestamp"]}}
        raise invalid(f"Resource {given['LogicalResourceId']} does not exist for stack {stack.name}")

    def _list_resources(self, given: Json) -> Json:
        found = self._resources(self.stack(given))
        found = [{**one, "LastUpdatedTimestamp": one["Timestamp"]} for one in found]
        return page(found, given, "StackResourceSummaries")

    def _list_stacks(self, given: Json) -> Json:
        wanted = given.get("StackStatusFilter")
        return {"StackSummaries": [_described(one) for one in self._store if not wanted or one.status in wanted]}

    def _get_template(self, given: Json) -> Json:
        stages = {"StagesAvailable": ["Original", "Processed"]}
        return {"TemplateBody": self.stack(given).target.template, **stages}

    def _get_policy(self, given: Json) -> Json:
        return {"StackPolicyBody": self.stack(given).policy or None}

    def _validate_template(self, given: Json) -> Json:
        template = template_of(self._template_text(given))
        kept = {name: one for name, one in template["Resources"].items() if one["Type"] not in self._ours}
        rest = {key: value for key, value in template.items() if key not in ("Resources", "Outputs")}
        # the emulator judges types and parameters only: without properties no resource refers to one that is left out,
        # and a template needs at least one resource
        bare = {name: {"Type": one["Type"]} for name, one in kept.items()}
        filler = {"Nothing": {"Type": "AWS::CloudFormation::WaitConditionHandle"}}
        found = self._emulated.validate({**rest, "Resources": bare or filler})
        return {key: value for key, value in found.items() if key != "ResponseMetadata"}


def shown_parameters(deployed: Deployed) -> list[Json]:
    """Parameters as replies print them: NoEcho ones without their values."""
    declared = template_of(deployed.template).get("Parameters") or {}
    secret = {name for name, one in declared.items() if str(one.get("NoEcho")).lower() == "true"}
    return [
        {"ParameterKey": name, "ParameterValue": "****" if name in secret else value}
        for name, value in deployed.parameters.items()
    ]


def _described(stack: Stack) -> Json:
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


def _resource_of(stack: Stack, logical: str, resource: Resource) -> Json:
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
