"""The emulator's part of a template: the same template without the types that we make or record.

Nothing but this is changed:

* our resources and their names in DependsOn are left out; a Ref, Fn::GetAtt or Fn::Sub of one becomes its value, which
  is known beforehand, and so does AWS::StackId (the stack is ours);
* a Ref to a parameter of type Number becomes a number, because the emulator does not convert a parameter's text;
* the outputs are replaced by the values that our resources need of the emulator's;
* Lambda functions get AWS_ENDPOINT_URL_<SERVICE> for the services that our server answers, so that what they write to
  the Glue catalog is in its journal;
* statements that deny requests without TLS are removed: the home speaks HTTP on 127.0.0.1, and the emulator enforces
  them;
* conditions on aws:SourceAccount in roles' trust policies are removed: here root assumes the services' roles, and only
  a service can give STS this key;
* a bucket's encryption and lifecycle rules stay, but the emulator does not apply them: ``bucket_properties`` does.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from infrastructure.cfn.intrinsics import Json, Reference, attribute
from local.aws.settings import AwsSettings

Literal = Callable[[str, str], str]
_VARIABLE = re.compile(r"\$\{([^}!]+)\}")


def reduced_template(
    template: Json,
    ours: set[str],
    literal: Literal,
    needed: Iterable[Reference],
    settings: AwsSettings,
    parameters: Mapping[str, str],
) -> Json:
    """The template for the emulator.

    ``literal(logical id, attribute)`` gives the value of a reference to a resource of ``ours``; ``needed`` are the
    references to the emulator's resources whose values we read from its stack's outputs (see ``output_name``).
    """
    numbers = {
        name: float(parameters[name]) if "." in parameters[name] else int(parameters[name])
        for name, definition in (template.get("Parameters") or {}).items()
        if definition.get("Type") == "Number"
    }
    reduced: Json = {key: value for key, value in template.items() if key not in ("Resources", "Outputs")}
    rewriter = _Rewriter(ours, literal, numbers)
    resources = {}
    for name, resource in template["Resources"].items():
        if name in ours:
            continue
        kept = rewriter.node(copy.deepcopy(resource))
        if "DependsOn" in kept:
            named = kept["DependsOn"]
            kept["DependsOn"] = [other for other in ([named] if isinstance(named, str) else named) if other not in ours]
        if kept["Type"] == "AWS::Lambda::Function":
            variables = kept["Properties"].setdefault("Environment", {}).setdefault("Variables", {})
            variables |= {name: url for name, url in settings.endpoints.items() if name.startswith("AWS_ENDPOINT_URL_")}
        if kept["Type"] in ("AWS::S3::BucketPolicy", "AWS::SQS::QueuePolicy"):
            document = kept["Properties"]["PolicyDocument"]
            document["Statement"] = [item for item in document["Statement"] if not _requires_tls(item)]
        if kept["Type"] == "AWS::IAM::Role":
            _trust_root(kept["Properties"]["AssumeRolePolicyDocument"])
        resources[name] = kept
    reduced["Resources"] = resources
    if outputs := _outputs(template, needed):
        reduced["Outputs"] = outputs
    return reduced


def _outputs(template: Json, needed: Iterable[Reference]) -> Json:
    """Outputs that hold the values of references to the emulator's resources."""
    outputs: Json = {}
    for logical, name in sorted(set(needed)):
        value = {"Fn::GetAtt": [logical, name]} if name else {"Ref": logical}
        output: Json = {"Value": value}
        if condition := template["Resources"][logical].get("Condition"):
            output["Condition"] = condition
        outputs[output_name(logical, name)] = output
    return outputs


def output_name(logical: str, name: str) -> str:
    """The output of the reduced template that holds a value of one of its resources."""
    return f"{logical}0{re.sub('[^A-Za-z0-9]', '0', name)}"


def _trust_root(document: Json) -> None:
    for statement in document.get("Statement", []):
        equals = statement.get("Condition", {}).get("StringEquals", {})
        equals.pop("aws:SourceAccount", None)
        if "Condition" in statement and not equals and set(statement["Condition"]) <= {"StringEquals"}:
            del statement["Condition"]


def _requires_tls(statement: Any) -> bool:
    if not isinstance(statement, dict) or statement.get("Effect") != "Deny":
        return False
    stated = statement.get("Condition", {}).get("Bool", {}).get("aws:SecureTransport")
    return stated is False or stated == "false"


class _Rewriter:
    def __init__(self, ours: set[str], literal: Literal, numbers: Mapping[str, float]) -> None:
        self._ours, self._literal, self._numbers = ours, literal, numbers

    def node(self, node: Any) -> Any:
        """A part of the template with references into our resources replaced."""
        if isinstance(node, list):
            return [self.node(item) for item in node]
        if not isinstance(node, dict):
            return node
        if set(node) == {"Ref"} and node["Ref"] in self._numbers:
            return self._numbers[node["Ref"]]
        if set(node) == {"Ref"} and self._mine(node["Ref"]):
            return self._literal(node["Ref"], "")
        if set(node) == {"Fn::GetAtt"} and self._mine(attribute(node["Fn::GetAtt"])[0]):
            return self._literal(*attribute(node["Fn::GetAtt"]))
        if set(node) == {"Fn::Sub"}:
            value = node["Fn::Sub"]
            if isinstance(value, list):
                return {"Fn::Sub": [self._text(value[0], set(value[1])), self.node(value[1])]}
            return {"Fn::Sub": self._text(value, set())}
        return {key: self.node(value) for key, value in node.items()}

    def _mine(self, name: str) -> bool:
        return name in self._ours or name == "AWS::StackId"

    def _text(self, text: str, bound: set[str]) -> str:
        def replaced(match: re.Match[str]) -> str:
            logical, _, name = match.group(1).partition(".")
            if match.group(1) in bound or not self._mine(logical):
                return match.group(0)
            return self._literal(logical, name).replace("${", "${!")

        return _VARIABLE.sub(replaced, text)
