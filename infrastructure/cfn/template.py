"""Parses templates: YAML with CloudFormation's short forms of the intrinsic functions, or JSON."""

from __future__ import annotations

import json
from typing import Any

import yaml

Json = dict[str, Any]


class TemplateLoader(yaml.CSafeLoader):
    """YAML with CloudFormation's short forms: ``!Ref x`` becomes ``{"Ref": "x"}``, ``!Sub`` ``{"Fn::Sub": ...}``."""


def _short_form(loader: TemplateLoader, suffix: str, node: yaml.Node) -> Json:
    value: Any
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    elif isinstance(node, yaml.MappingNode):
        value = loader.construct_mapping(node, deep=True)
    if suffix == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}": value}


TemplateLoader.add_multi_constructor("!", _short_form)
# "2012-10-17" is the version of a policy language, not a date
TemplateLoader.yaml_constructors["tag:yaml.org,2002:timestamp"] = TemplateLoader.construct_yaml_str


def parse_template(text: str) -> Json:
    """A template in YAML or JSON, with long-form intrinsics; raises ValueError when it is not a mapping."""
    try:
        is_json = text.lstrip().startswith("{")  # JSON is YAML too, but this is a hundred times faster
        template = json.loads(text) if is_json else yaml.load(text, Loader=TemplateLoader)  # noqa: S506 (a SafeLoader)
    except (yaml.YAMLError, json.JSONDecodeError) as error:
        raise ValueError(f"The template is neither YAML nor JSON: {error}") from error
    if not isinstance(template, dict):
        raise ValueError("The template must be a YAML or JSON mapping")
    return template
