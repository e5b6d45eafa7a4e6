"""Types of values as the crawler's classifiers name them, and what becomes of two that differ.

A type is a Hive name (``int``, ``string`` ...), a dict for a struct (field -> type) or a list of one for an array; None
is that of a value never seen. Source: AWS Glue Developer Guide, "Built-in classifiers".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Type = Any  # str | dict[str, Type] | list[Type] | None, which mypy cannot say of itself

INT_MAX = 2**31 - 1
BIGINT_MAX = 2**63 - 1
NUMBERS = ("int", "bigint", "double")  # each may become a later one


def of_json(value: Any) -> Type:
    """The type of a JSON value; names are lower-cased."""
    if value is None:
        return None
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "int" if -INT_MAX - 1 <= value <= INT_MAX else "bigint" if abs(value) <= BIGINT_MAX else "double"
    if isinstance(value, float):
        return "double"
    if isinstance(value, Mapping):
        struct: dict[str, Type] = {}
        for name, field in value.items():
            struct[name.lower()] = merged(struct.get(name.lower()), of_json(field))
        return struct
    if isinstance(value, list):
        element: Type = None
        for item in value:
            element = merged(element, of_json(item))
        return [element]
    return "string"


def merged(left: Type, right: Type) -> Type:
    """The narrowest type that holds both; ``string`` when nothing else does."""
    if left is None or left == right:
        return right
    if right is None:
        return left
    if isinstance(left, dict) and isinstance(right, dict):
        return {name: merged(left.get(name), right.get(name)) for name in [*left, *(n for n in right if n not in left)]}
    if isinstance(left, list) and isinstance(right, list):
        return [merged(left[0], right[0])]
    if left in NUMBERS and right in NUMBERS:
        return max(left, right, key=NUMBERS.index)
    return "string"


def hive(of: Type) -> str:
    """A type as the catalog spells it; what was never seen is a string."""
    if of is None:
        return "string"
    if isinstance(of, dict):
        return "struct<" + ",".join(f"{name}:{hive(field)}" for name, field in of.items()) + ">" if of else "string"
    if isinstance(of, list):
        return f"array<{hive(of[0])}>"
    return str(of)
