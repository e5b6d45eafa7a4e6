"""Compares MySQL's columns with those that ``datalake.tables`` declares, before a load replaces anything."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from datalake import tables
from datalake.schemas import Column

# remove-column rules of infrastructure/dms/table-mappings.json: (table, column); a test compares them
NOT_REPLICATED = frozenset({("address", "location")})

# MySQL's data types, as information_schema names them, all of whose values fit the declared type
_WHOLE_NUMBERS = {"tinyint", "smallint", "mediumint", "int", "bigint", "year"}
_TEXTS = {"char", "varchar", "tinytext", "text", "mediumtext", "longtext", "enum", "set"}
_BYTES = {"binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob"}
_FITTING = {"bigint": _WHOLE_NUMBERS, "string": _TEXTS, "binary": _BYTES, "timestamp": {"timestamp", "datetime"}}
_DECIMAL = re.compile(r"decimal\((\d+),(\d+)\)")

Types = Mapping[str, str]  # full MySQL type by column, e.g. {"rental_rate": "decimal(4,2) unsigned"}


def drift(found: Mapping[str, Types]) -> list[str]:
    """The differences between MySQL's base tables (``found``: columns by table) and the declared ones, as texts.

    The order of columns does not matter, as they are read by name.
    """
    return [
        *(f"table {name} is missing in MySQL" for name in sorted(tables.SAKILA.keys() - found.keys())),
        *(f"table {name} is not declared" for name in sorted(found.keys() - tables.SAKILA.keys())),
        *(fault for name in sorted(tables.SAKILA.keys() & found.keys()) for fault in _in_table(name, found[name])),
    ]


def _in_table(name: str, found: Types) -> Iterator[str]:
    declared = {column.name: column for column in tables.SAKILA[name].columns}
    yield from _each(name, declared.keys() - found.keys(), "is missing in MySQL")
    added = {column for column in found.keys() - declared.keys() if (name, column) not in NOT_REPLICATED}
    yield from _each(name, added, "is not declared")
    for column, mysql_type in found.items():
        if column in declared and not holds(declared[column], mysql_type):
            yield f"table {name}, column {column}: {mysql_type} in MySQL does not fit {declared[column].type}"


def _each(table: str, columns: Iterable[str], fault: str) -> Iterator[str]:
    return (f"table {table}, column {column} {fault}" for column in sorted(columns))


def holds(column: Column, mysql_type: str) -> bool:
    """Whether all values of a MySQL type, such as ``smallint(5) unsigned``, fit a declared column."""
    words = mysql_type.lower().replace("(", " (", 1).split()
    if wanted := _DECIMAL.fullmatch(column.type):
        given = re.match(r"decimal\((\d+),(\d+)\)", mysql_type.lower())
        return given is not None and _fits((int(given[1]), int(given[2])), (int(wanted[1]), int(wanted[2])))
    if words[0] == "bigint" and "unsigned" in words:
        return False
    if column.type == "boolean":  # as which DMS loads BIT(1); it loads a longer BIT as bytes
        return mysql_type.lower() == "bit(1)"
    return words[0] in _FITTING[column.type]


def _fits(given: tuple[int, int], wanted: tuple[int, int]) -> bool:
    """Whether one decimal type, as (digits, digits after the point), fits another."""
    return given[0] - given[1] <= wanted[0] - wanted[1] and given[1] <= wanted[1]
