"""What kind of statement it is, as Athena tells them apart, and the values of its parameters."""

from __future__ import annotations

from dataclasses import dataclass

from local.aws.athena.tokens import Cursor, SqlError, literal, one_statement

DML, DDL, UTILITY = "DML", "DDL", "UTILITY"

# First words: (StatementType, SubstatementType). The longest match counts.
_KINDS: dict[tuple[str, ...], tuple[str, str]] = {
    ("SELECT",): (DML, "SELECT"),
    ("WITH",): (DML, "SELECT"),
    ("VALUES",): (DML, "SELECT"),
    ("TABLE",): (DML, "SELECT"),
    ("(",): (DML, "SELECT"),
    ("INSERT", "INTO"): (DML, "INSERT"),
    ("DELETE", "FROM"): (DML, "DELETE"),
    ("UPDATE",): (DML, "UPDATE"),
    ("MERGE", "INTO"): (DML, "MERGE"),
    ("UNLOAD",): (DML, "UNLOAD"),
    ("OPTIMIZE",): (DML, "OPTIMIZE"),
    ("VACUUM",): (DML, "VACUUM"),
    ("EXECUTE",): (DML, "EXECUTE"),
    ("PREPARE",): (DDL, "PREPARE"),
    ("DEALLOCATE", "PREPARE"): (DDL, "DEALLOCATE_PREPARE"),
    ("CREATE", "TABLE"): (DDL, "CREATE_TABLE"),
    ("CREATE", "EXTERNAL", "TABLE"): (DDL, "CREATE_TABLE"),
    ("CREATE", "VIEW"): (DDL, "CREATE_VIEW"),
    ("CREATE", "OR", "REPLACE", "VIEW"): (DDL, "CREATE_VIEW"),
    ("CREATE", "DATABASE"): (DDL, "CREATE_DATABASE"),
    ("CREATE", "SCHEMA"): (DDL, "CREATE_DATABASE"),
    ("DROP", "TABLE"): (DDL, "DROP_TABLE"),
    ("DROP", "VIEW"): (DDL, "DROP_VIEW"),
    ("DROP", "DATABASE"): (DDL, "DROP_DATABASE"),
    ("DROP", "SCHEMA"): (DDL, "DROP_DATABASE"),
    ("ALTER", "TABLE"): (DDL, "ALTER_TABLE"),
    ("MSCK", "REPAIR", "TABLE"): (DDL, "MSCK_REPAIR_TABLE"),
    ("SHOW", "DATABASES"): (UTILITY, "SHOW_DATABASES"),
    ("SHOW", "SCHEMAS"): (UTILITY, "SHOW_DATABASES"),
    ("SHOW", "TABLES"): (UTILITY, "SHOW_TABLES"),
    ("SHOW", "VIEWS"): (UTILITY, "SHOW_VIEWS"),
    ("SHOW", "COLUMNS"): (UTILITY, "SHOW_COLUMNS"),
    ("SHOW", "PARTITIONS"): (UTILITY, "SHOW_PARTITIONS"),
    ("SHOW", "TBLPROPERTIES"): (UTILITY, "SHOW_TBLPROPERTIES"),
    ("SHOW", "CREATE", "TABLE"): (UTILITY, "SHOW_CREATE_TABLE"),
    ("SHOW", "CREATE", "VIEW"): (UTILITY, "SHOW_CREATE_VIEW"),
    ("DESCRIBE",): (UTILITY, "DESCRIBE"),
    ("DESC",): (UTILITY, "DESCRIBE"),
    ("EXPLAIN",): (UTILITY, "EXPLAIN"),
}
# What only Trino can read; all else is Hive DDL, which the catalog answers.
ENGINE_KINDS = frozenset(
    {"SELECT", "INSERT", "DELETE", "UPDATE", "MERGE", "UNLOAD", "CREATE_TABLE_AS_SELECT", "CREATE_VIEW", "EXPLAIN"}
)


class UnknownStatement(SqlError):
    """The first words are none of a statement that Athena takes."""


@dataclass(frozen=True)
class Statement:
    """One statement without its closing semicolon."""

    sql: str
    type: str  # AWS's StatementType
    kind: str  # AWS's SubstatementType


def classify(sql: str) -> Statement:
    """Tell what a statement is; raises SqlError when Athena would not take it."""
    text = one_statement(sql)
    cursor = Cursor(text)
    for length in range(min(4, len(cursor.tokens)), 0, -1):
        words = tuple(token.text.upper() for token in cursor.tokens[:length])
        if words in _KINDS:
            kind, subkind = _KINDS[words]
            if words == ("CREATE", "TABLE") and _is_ctas(text):
                return Statement(text, DDL, "CREATE_TABLE_AS_SELECT")
            return Statement(text, kind, subkind)
    raise UnknownStatement("Queries of this type are not supported")


def sources(sql: str, database: str) -> set[tuple[str, str]]:
    """(database, name) of what stands after FROM and JOIN: tables, views and names of WITH."""
    cursor, found = Cursor(sql), set()
    while cursor.token:
        if not (cursor.accept("FROM") or cursor.accept("JOIN")):
            cursor.at += 1
            continue
        while cursor.token and cursor.token.kind in ("word", "quoted", "backquoted"):
            try:
                found.add(cursor.expect_table(database))
            except SqlError:
                break  # another catalog's, or no name
            cursor.accept("AS")
            if cursor.token and cursor.token.kind != "symbol" and not cursor.peek("JOIN"):
                cursor.at += 1  # its alias, or the word that ends the list
            if not cursor.accept(","):
                break
    return found


def bind(sql: str, parameters: list[str]) -> str:
    """The statement with its ``?`` replaced by values, in order; raises SqlError when their numbers differ.

    A value is SQL (``5``, ``'x'``, ``DATE '2024-01-01'``, ``CAST(...)``); anything else is taken for a string, as
    Athena's clients send both.
    """
    places = [token for token in Cursor(sql).tokens if token.text == "?" and token.kind == "symbol"]
    if len(places) != len(parameters):
        raise SqlError(f"Incorrect number of parameters: expected {len(places)} but found {len(parameters)}")
    parts, position = [], 0
    for token, parameter in zip(places, parameters, strict=True):
        parts += [sql[position : token.start], parameter if _is_value(parameter) else literal(parameter)]
        position = token.end
    return "".join([*parts, sql[position:]])


def _is_value(parameter: str) -> bool:
    tokens = Cursor(parameter).tokens
    first, last = (tokens[0], tokens[-1]) if tokens else (None, None)
    if first is None or last is None or any(token.text in (";", "?") for token in tokens):
        return False
    if len(tokens) == 1:
        return first.kind in ("number", "string") or first.text.upper() in ("TRUE", "FALSE", "NULL")
    if len(tokens) == 2:
        return (first.text in ("-", "+") and last.kind == "number") or (first.kind == "word" and last.kind == "string")
    return first.kind == "word" and (tokens[1].text, last.text) in (("(", ")"), ("[", "]"))


def prepare(sql: str) -> tuple[str, str]:
    """PREPARE name FROM statement: (name, statement)."""
    cursor = Cursor(sql)
    cursor.expect("PREPARE")
    name = cursor.expect_name()
    cursor.expect("FROM")
    return name, cursor.rest


def execute(sql: str) -> tuple[str, list[str]]:
    """EXECUTE name [USING value, ...]: (name, values)."""
    cursor = Cursor(sql)
    cursor.expect("EXECUTE")
    name, values = cursor.expect_name(), []
    if cursor.accept("USING"):
        values.append(cursor.until(","))
        while cursor.accept(","):
            values.append(cursor.until(","))
    cursor.expect_end()
    return name, values


def deallocate(sql: str) -> str:
    """DEALLOCATE PREPARE name: the name."""
    cursor = Cursor(sql)
    cursor.expect("DEALLOCATE", "PREPARE")
    name = cursor.expect_name()
    cursor.expect_end()
    return name


def _is_ctas(sql: str) -> bool:
    cursor = Cursor(sql)
    cursor.expect("CREATE", "TABLE")
    cursor.accept("IF", "NOT", "EXISTS")
    cursor.expect_table("")
    if cursor.accept("COMMENT"):
        cursor.expect_string()
    if cursor.accept("WITH"):
        cursor.expect_group()
    return cursor.peek("AS")
