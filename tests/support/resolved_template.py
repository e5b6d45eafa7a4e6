"""The template's resources with parameters and intrinsic functions resolved, for tests."""

from __future__ import annotations

from typing import Any

from datalake.names import Lake
from infrastructure.cfn.intrinsics import Resolver, parameter_values
from infrastructure.cfn.template import parse_template
from infrastructure.package import parameters_of, render_template
from local.aws.cloudformation.plan import pseudo_parameters
from local.aws.cloudformation.reduced_template import output_name

CODE = {
    "LambdaCodeKey": f"lambda/{'0' * 64}.zip",
    "JobsPrefix": f"jobs/{'0' * 64}/",
    "MwaaCodePrefix": f"mwaa/{'0' * 64}/",
    "MwaaCodeVersions": "plugins-version,requirements-version,startup-version",
}
NETWORK = {"VpcId": "vpc-0", "PrivateSubnetIds": "subnet-0,subnet-1"}


class Resolved:
    """The resources with every intrinsic function resolved; attributes of other resources become readable names."""

    def __init__(self, lake: Lake, **parameters: str) -> None:
        self.template = parse_template(render_template())
        given = {**parameters_of("local"), **CODE, **NETWORK, **parameters}
        given |= {"Environment": lake.environment, "Suffix": lake.suffix}
        values = parameter_values(
            self.template, [{"ParameterKey": key, "ParameterValue": value} for key, value in given.items()], {}
        )
        self._resolver = Resolver(self.template, values, pseudo_parameters(lake.stack, "stack-id"), self._lookup)

    def _lookup(self, logical: str, attribute: str) -> Any:
        properties = self.template["Resources"][logical]["Properties"]
        for name in ("BucketName", "Name", "DatabaseInput", "DeliveryStreamName", "LogGroupName"):
            if name in properties and attribute in ("", "Arn"):
                value = self._resolver.value(properties[name])
                return value["Name"] if isinstance(value, dict) else value
        return output_name(logical, attribute)

    def __call__(self, path: str) -> Any:
        """``path`` is LogicalId.Property[.Property...]."""
        logical, *keys = path.split(".")
        value = self._resolver.value(self.template["Resources"][logical]["Properties"])
        for key in keys:
            value = value[key]
        return value

    def of_type(self, type_name: str) -> dict[str, dict[str, Any]]:
        return {
            name: self._resolver.value(resource.get("Properties", {}))
            for name, resource in self.template["Resources"].items()
            if resource["Type"] == type_name
        }
