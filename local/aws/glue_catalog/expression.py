"""The ``Expression`` of GetPartitions: a SQL condition over partition keys.

Source: AWS Glue Web API Reference, GetPartitions: operators =, <> (!=), <, >, <=, >=, AND, OR, NOT, IN, BETWEEN, LIKE,
IS NULL; key types string, char, varchar, date, timestamp, tinyint, smallint, int, bigint (long), decimal.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from local.aws.protocol import AwsError

HIVE_NULL = "__HIVE_DEFAULT_PARTITION__"  # how Hive writes a NULL partition value
Row = Mapping[str, Any]
Condition = Callable[[Row], bool | None]  # None is SQL's "unknown"

_TOKEN = re.compile(
    r"\s*(?:(?P<text>'(?:[^']|'')*')|(?P<number>-?\d+(?:\.\d+)?)|(?P<operator><>|!=|<=|>=|[=<>(),])"
    r"|(?P<name>\"[^\"]+\"|`[^`]+`|[A-Za-z_][\w.-]*))"
)
_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "=": lambda a, b: bool(a == b),
    "<>": lambda a, b: bool(a != b),
    "!=": lambda a, b: bool(a != b),
    "<": lambda a, b: bool(a < b),
    "<=": lambda a, b: bool(a <= b),
    ">": lambda a, b: bool(a > b),
    ">=": lambda a, b: bool(a >= b),
}


def typed_value(value: str, hive_type: str) -> Any:
    """A partition value in the type of its key; raises InvalidInputException when it does not fit the type."""
    if value == HIVE_NULL:
        return None
    name = hive_type.lower().partition("(")[0]
    try:
        if name in {"tinyint", "smallint", "int", "integer", "bigint", "long"}:
            return int(value)
        if name == "decimal":
            return Decimal(value)
        if name == "date":
            return date.fromisoformat(value)
        if name == "timestamp":
            return datetime.fromisoformat(value)
    except (ValueError, ArithmeticError):
        raise AwsError("InvalidInputException", f"{value!r} is not a {hive_type}") from None
    if name not in {"string", "char", "varchar"}:
        raise AwsError("InvalidInputException", f"Partition keys of type {hive_type} cannot be filtered")
    return value


def compile_expression(expression: str, keys: Sequence[tuple[str, str]]) -> Condition:
    """The expression as a function of a row of typed values; raises InvalidInputException if it is malformed."""
    return _Parser(expression, {name.lower(): kind for name, kind in keys}).whole()


class _Parser:
    """A recursive-descent parser, with a method for each level: or, and, not, comparison."""

    def __init__(self, expression: str, types: Mapping[str, str]) -> None:
        self._expression, self._types = expression, types
        self._tokens: list[tuple[str, str]] = []
        position, end = 0, len(expression.rstrip())
        while position < end:
            token = _TOKEN.match(expression, position)
            if token is None:
                raise self._error(f"at {expression[position:]!r}")
            self._tokens.append((str(token.lastgroup), token.group(str(token.lastgroup))))
            position = token.end()
        self._position = 0

    def whole(self) -> Condition:
        condition = self._or()
        if self._position < len(self._tokens):
            raise self._error(f"at {self._tokens[self._position][1]!r}")
        return condition

    def _error(self, why: str) -> AwsError:
        return AwsError("InvalidInputException", f"Invalid partition expression {self._expression!r}: {why}")

    def _word(self) -> str:
        return self._tokens[self._position][1].upper() if self._position < len(self._tokens) else ""

    def _take(self, *words: str) -> bool:
        if (
            self._position < len(self._tokens)
            and self._tokens[self._position][0] in {"name", "operator"}
            and self._word() in words
        ):
            self._position += 1
            return True
        return False

    def _expect(self, word: str) -> None:
        if not self._take(word):
            raise self._error(f"{word} expected, not {self._word() or 'the end'!r}")

    def _or(self) -> Condition:
        condition = self._and()
        while self._take("OR"):
            condition = _disjunction(condition, self._and())
        return condition

    def _and(self) -> Condition:
        condition = self._not()
        while self._take("AND"):
            condition = _conjunction(condition, self._not())
        return condition

    def _not(self) -> Condition:
        if self._take("NOT"):
            return _negation(self._not())
        if self._take("("):
            condition = self._or()
            self._expect(")")
            return condition
        return self._comparison()

    def _comparison(self) -> Condition:
        kind, name = self._tokens[self._position] if self._position < len(self._tokens) else ("", "")
        key = name.strip('"`').lower()
        if kind != "name" or key not in self._types:
            raise self._error(f"{name or 'the end'!r} is not a partition key")
        self._position += 1
        if self._take("IS"):
            wanted = not self._take("NOT")
            self._expect("NULL")
            return lambda row: (row[key] is None) == wanted
        negated = self._take("NOT")
        condition = self._predicate(key)
        return _negation(condition) if negated else condition

    def _predicate(self, key: str) -> Condition:
        if self._take("IN"):
            self._expect("(")
            options = [self._literal(key)]
            while self._take(","):
                options.append(self._literal(key))
            self._expect(")")
            return _unless_null(key, lambda value: value in options)
        if self._take("BETWEEN"):
            low = self._literal(key)
            self._expect("AND")
            high = self._literal(key)
            return _unless_null(key, lambda value: bool(low <= value <= high))
        if self._take("LIKE"):
            pattern = _like(str(self._literal(key)))
            return _unless_null(key, lambda value: pattern.fullmatch(str(value)) is not None)
        operator = self._word()
        if operator not in _COMPARISONS:
            raise self._error(f"an operator is missing after {key}")
        self._position += 1
        literal = self._literal(key)
        return _unless_null(key, lambda value: _COMPARISONS[operator](value, literal))

    def _literal(self, key: str) -> Any:
        self._take("DATE", "TIMESTAMP")  # date '2026-01-01' as engines write it
        if self._position >= len(self._tokens) or self._tokens[self._position][0] not in {"text", "number"}:
            raise self._error(f"a value is missing after {key}")
        kind, text = self._tokens[self._position]
        self._position += 1
        return typed_value(text[1:-1].replace("''", "'") if kind == "text" else text, self._types[key])


def _unless_null(key: str, test: Callable[[Any], bool]) -> Condition:
    return lambda row: None if row[key] is None else test(row[key])


def _negation(condition: Condition) -> Condition:
    def negated(row: Row) -> bool | None:
        value = condition(row)
        return None if value is None else not value

    return negated


def _conjunction(left: Condition, right: Condition) -> Condition:
    def both(row: Row) -> bool | None:
        values = {left(row), right(row)}
        return False if False in values else None if None in values else True

    return both


def _disjunction(left: Condition, right: Condition) -> Condition:
    def either(row: Row) -> bool | None:
        values = {left(row), right(row)}
        return True if True in values else None if None in values else False

    return either


def _like(pattern: str) -> re.Pattern[str]:
    parts = {"%": ".*", "_": "."}
    return re.compile("".join(parts.get(char) or re.escape(char) for char in pattern), re.DOTALL)
