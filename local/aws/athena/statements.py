"""A statement with its tokens and its kind, as Athena tells kinds apart, and the values of its parameters."""

from __future__ import annotations

from dataclasses import dataclass, field

from local.aws.athena.tokens import Cursor, SqlError, Token, literal, tokenize

# Statements by AWS's StatementType; the longest match of the first keywords counts.
_STATEMENTS = {
    "DML": (
        "SELECT", "WITH", "VALUES", "TABLE", "(", "INSERT INTO", "DELETE FROM", "UPDATE", "MERGE INTO", "UNLOAD",
        "OPTIMIZE", "VACUUM", "EXECUTE",
    ),
    "DDL": (
        "PREPARE", "DEALLOCATE PREPARE", "CREATE TABLE", "CREATE EXTERNAL TABLE", "CREATE VIEW",
        "CREATE OR REPLACE VIEW", "CREATE DATABASE", "CREATE SCHEMA", "DROP TABLE", "DROP VIEW", "DROP DATABASE",
        "DROP SCHEMA", "ALTER TABLE", "MSCK REPAIR TABLE",
    ),
    "UTILITY": (
        "SHOW DATABASES", "SHOW SCHEMAS", "SHOW TABLES", "SHOW VIEWS", "SHOW COLUMNS", "SHOW PARTITIONS",
        "SHOW TBLPROPERTIES", "SHOW CREATE TABLE", "SHOW CREATE VIEW", "DESCRIBE", "DESC", "EXPLAIN",
    ),
}  # fmt: skip
# AWS's SubstatementType where it is not the keywords.
_SUBSTATEMENTS = {
    **dict.fromkeys(("WITH", "VALUES", "TABLE", "("), "SELECT"),
    "INSERT INTO": "INSERT", "DELETE FROM": "DELETE", "MERGE INTO": "MERGE", "CREATE EXTERNAL TABLE": "CREATE_TABLE",
    "CREATE OR REPLACE VIEW": "CREATE_VIEW", "CREATE SCHEMA": "CREATE_DATABASE", "DROP SCHEMA": "DROP_DATABASE",
    "SHOW SCHEMAS": "SHOW_DATABASES", "DESC": "DESCRIBE",
}  # fmt: skip
_KINDS: dict[tuple[str, ...], tuple[str, str]] = {
    tuple(keywords.split()): (kind, _SUBSTATEMENTS.get(keywords, keywords.replace(" ", "_")))
    for kind, statements in _STATEMENTS.items()
    for keywords in statements
}
# The statements that Trino runs; the catalog answers all others but PREPARE, EXECUTE and DEALLOCATE PREPARE.
ENGINE_KINDS = frozenset(
    {"SELECT", "INSERT", "DELETE", "UPDATE", "MERGE", "UNLOAD", "CREATE_TABLE_AS_SELECT", "CREATE_VIEW", "EXPLAIN"}
)
MANIFEST_KINDS = frozenset({"CREATE_TABLE_AS_SELECT", "INSERT", "UNLOAD"})  # those that list the files they wrote
WRITE_KINDS = MANIFEST_KINDS | {"DELETE", "UPDATE", "MERGE"}
_TRINO_DIALECT = ENGINE_KINDS | {"OPTIMIZE", "VACUUM", "EXECUTE", "PREPARE", "DEALLOCATE_PREPARE"}


class UnknownStatement(SqlError):
    """A statement that begins with none of the keywords that Athena accepts."""


class StatementFailed(Exception):
    """A statement that cannot be carried out; the message is the query's StateChangeReason."""


@dataclass(frozen=True)
class Statement:
    """One statement without its closing semicolon; its tokens are those of its dialect, Trino's or Hive's."""

    sql: str
    tokens: list[Token] = field(repr=False)
    type: str  # AWS's StatementType
    kind: str  # AWS's SubstatementType
    keywords: int  # how many of the tokens tell its kind

    @classmethod
    def parse(cls, sql: str) -> Statement:
        """Raises SqlError when Athena would not accept ``sql``, several statements included."""
        tokens = tokenize(sql)
        while tokens and tokens[-1].text == ";":
            tokens.pop()
        if any(token.text == ";" for token in tokens):
            raise SqlError(f"Only one sql statement is allowed. Got: {sql}")
        statement_type, kind, keywords = classify(Cursor(sql, tokens))
        text = sql[: tokens[-1].end]
        dialect = tokens if kind in _TRINO_DIALECT else tokenize(text, hive=True)
        return cls(text, dialect, statement_type, kind, keywords)

    def cursor(self) -> Cursor:
        """A cursor behind the keywords that tell its kind."""
        return Cursor(self.sql, self.tokens, self.keywords)

    @property
    def for_trino(self) -> str:
        """The text with Hive's backquoted names in double quotes."""
        return self.sql[: self.tokens[0].start] + Cursor(self.sql, self.tokens).rest_for_trino


def classify(cursor: Cursor) -> tuple[str, str, int]:
    """(StatementType, SubstatementType, how many keywords tell it) of the statement that comes next.

    Raises SqlError when Athena would not accept it.
    """
    tokens = cursor.tokens[cursor.at :]
    if not tokens:
        raise SqlError("line 1:1: mismatched input '<EOF>'. Expecting: <statement>")
    for length in range(max(map(len, _KINDS)), 0, -1):
        words = tuple(token.text.upper() for token in tokens[:length])
        if words in _KINDS:
            if words == ("CREATE", "TABLE") and _is_ctas(Cursor(cursor.sql, tokens, 2)):
                return "DDL", "CREATE_TABLE_AS_SELECT", 2
            return *_KINDS[words], len(words)
    raise UnknownStatement("Queries of this type are not supported")


def _is_ctas(cursor: Cursor) -> bool:
    cursor.accept("IF", "NOT", "EXISTS")
    cursor.expect_table("")
    if cursor.accept("COMMENT"):
        cursor.expect_string()
    if cursor.accept("WITH"):
        cursor.expect_group()
    return cursor.peek("AS")


def sources(statement: Statement, database: str) -> set[tuple[str, str]]:
    """(database, name) of everything after FROM and JOIN: tables, views and the names that WITH defines."""
    cursor, found = Cursor(statement.sql, statement.tokens), set()
    while cursor.token:
        if not (cursor.accept("FROM") or cursor.accept("JOIN")):
            cursor.at += 1
            continue
        while cursor.token and cursor.token.kind in ("word", "quoted", "backquoted"):
            try:
                found.add(cursor.expect_table(database))
            except SqlError:
                break  # a name in another catalog, or no name
            cursor.accept("AS")
            if cursor.token and cursor.token.kind != "symbol" and not cursor.peek("JOIN"):
                cursor.at += 1  # its alias, or the keyword that ends the list
            if not cursor.accept(","):
                break
    return found


def bind(statement: Statement, parameters: list[str]) -> Statement:
    """The statement with its ``?`` replaced by values, in order; raises SqlError when their numbers differ.

    A value is a SQL literal or expression (``5``, ``'x'``, ``DATE '2024-01-01'``, ``CAST(...)``); any other text is
    bound as a string, because Athena's clients send both.
    """
    places = [token for token in statement.tokens if token.text == "?"]
    if len(places) != len(parameters):
        raise SqlError(f"Incorrect number of parameters: expected {len(places)} but found {len(parameters)}")
    parts, position = [], 0
    for token, parameter in zip(places, parameters, strict=True):
        value = parameter if _is_value(parameter) else literal(parameter)
        parts += [statement.sql[position : token.start], value]
        position = token.end
    return Statement.parse("".join([*parts, statement.sql[position:]]))


def _is_value(parameter: str) -> bool:
    tokens = tokenize(parameter)
    if not tokens or any(token.text in (";", "?") for token in tokens):
        return False
    first, last = tokens[0], tokens[-1]
    if len(tokens) == 1:
        return first.kind in ("number", "string") or first.text.upper() in ("TRUE", "FALSE", "NULL")
    if len(tokens) == 2:
        return (first.text in ("-", "+") and last.kind == "number") or (first.kind == "word" and last.kind == "string")
    return first.kind == "word" and (tokens[1].text, last.text) in (("(", ")"), ("[", "]"))


def prepare(statement: Statement) -> tuple[str, str]:
    """(name, statement) of PREPARE name FROM statement."""
    cursor = statement.cursor()
    name = cursor.expect_name()
    cursor.expect("FROM")
    return name, cursor.rest


def execute(statement: Statement) -> tuple[str, list[str]]:
    """(name, values) of EXECUTE name [USING value, ...]."""
    cursor = statement.cursor()
    name, values = cursor.expect_name(), []
    if cursor.accept("USING"):
        values = cursor.expect_items(lambda item: item.until(",").rest)
    cursor.expect_end()
    return name, values


def deallocate(statement: Statement) -> str:
    """The name in DEALLOCATE PREPARE name."""
    cursor = statement.cursor()
    name = cursor.expect_name()
    cursor.expect_end()
    return name
