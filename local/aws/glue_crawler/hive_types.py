"""The Hive types that the crawler infers, and the merging of two different types.

A type is a Hive name (``int``, ``string`` ...), a dict for a struct (field -> type), a list with one element for an
array, or None for a field without a value. Source: AWS Glue Developer Guide, "Built-in classifiers".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

HiveType = Any  # str | dict[str, HiveType] | list[HiveType] | None; mypy does not support a recursive alias here

INT_MAX = 2**31 - 1
BIGINT_MAX = 2**63 - 1
NUMBERS = ("int", "bigint", "double")  # a number fits into each later type


def type_of_json(value: Any) -> HiveType:
    """The type of a JSON value; field names become lower case."""
    if value is None:
        return None
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "int" if -INT_MAX - 1 <= value <= INT_MAX else "bigint" if abs(value) <= BIGINT_MAX else "double"
    if isinstance(value, float):
        return "double"
    if isinstance(value, Mapping):
        struct: dict[str, HiveType] = {}
        for name, field in value.items():
            struct[name.lower()] = merge_types(struct.get(name.lower()), type_of_json(field))
        return struct
    if isinstance(value, list):
        element: HiveType = None
        for item in value:
            element = merge_types(element, type_of_json(item))
        return [element]
    return "string"


def merge_types(left: HiveType, right: HiveType) -> HiveType:
    """The narrowest type that holds values of both types; ``string`` if no other does."""
    if left is None or left == right:
        return right
    if right is None:
        return left
    if isinstance(left, dict) and isinstance(right, dict):
        return {name: merge_types(left.get(name), right.get(name)) for name in left | right}
    if isinstance(left, list) and isinstance(right, list):
        return [merge_types(left[0], right[0])]
    if left in NUMBERS and right in NUMBERS:
        return max(left, right, key=NUMBERS.index)
    return "string"


def type_of_hive(name: str) -> HiveType:
    """The type that ``hive_name`` writes as ``name``."""
    kind, _, inner = name.removesuffix(">").partition("<")
    if kind == "array":
        return [type_of_hive(inner)]
    if kind == "struct":
        fields = (field.partition(":") for field in _split_fields(inner))
        return {field: type_of_hive(of) for field, _, of in fields}
    return name


def _split_fields(text: str) -> list[str]:
    """Split at the commas that are in no brackets."""
    fields, depth = [""], 0
    for char in text:
        depth += (char in "<(") - (char in ">)")
        if char == "," and not depth:
            fields.append("")
        else:
            fields[-1] += char
    return fields


def hive_name(of: HiveType) -> str:
    """A type as the catalog writes it; a field without a value becomes a string."""
    if of is None:
        return "string"
    if isinstance(of, dict):
        fields = ",".join(f"{name}:{hive_name(field)}" for name, field in of.items())
        return f"struct<{fields}>" if fields else "string"
    if isinstance(of, list):
        return f"array<{hive_name(of[0])}>"
    return str(of)
