"""Words of an Athena statement: enough to tell statements apart and to read DDL; queries themselves are Trino's."""

from __future__ import annotations

import re
from typing import NamedTuple

_COMMON = r"""
    (?P<space>\s+|--[^\n]*|/\*.*?\*/)
  | (?P<string>{string})
  | (?P<quoted>"(?:[^"]|"")*")
  | (?P<backquoted>`(?:[^`]|``)*`)
  | (?P<number>\d+(?:\.\d*)?(?:[eE][+-]?\d+)?)
  | (?P<word>[^\W\d][\w$@]*)
  | (?P<symbol>=>|->|<>|!=|<=|>=|\|\||.)
"""
_TRINO = re.compile(_COMMON.format(string=r"'(?:[^']|'')*'"), re.VERBOSE | re.DOTALL)
_HIVE = re.compile(_COMMON.format(string=r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\""""), re.VERBOSE | re.DOTALL)
_HIVE_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|[0-3][0-7]{2}|.)", re.DOTALL)
_HIVE_ESCAPES = {"t": "\t", "n": "\n", "r": "\r", "0": "\0", "b": "\b", "Z": "\x1a"}


class SqlError(Exception):
    """A statement that cannot be read; the message is in Trino's manner: ``line 1:8: mismatched input 'x'``."""


class Token(NamedTuple):
    """One word; ``start`` and ``end`` are offsets into the statement."""

    kind: str  # string, quoted, backquoted, number, word, symbol
    text: str
    start: int
    end: int

    def is_word(self, word: str) -> bool:
        """Whether it is this keyword, in any letter case."""
        return self.kind == "word" and self.text.upper() == word


def tokenize(sql: str, hive: bool = False) -> list[Token]:
    """All words of ``sql`` without blanks and comments; ``hive`` takes ``"x"`` and backslash escapes as strings."""
    pattern = _HIVE if hive else _TRINO
    return [
        Token(str(match.lastgroup), match.group(), match.start(), match.end())
        for match in pattern.finditer(sql)
        if match.lastgroup != "space"
    ]


def one_statement(sql: str) -> str:
    """``sql`` without closing semicolons; raises SqlError when it is empty or holds several statements."""
    tokens = tokenize(sql)
    end = len(tokens)
    while end and tokens[end - 1].text == ";":
        end -= 1
    if not end:
        raise SqlError("line 1:1: mismatched input '<EOF>'. Expecting: <statement>")
    if any(token.text == ";" for token in tokens[:end]):
        raise SqlError(f"Only one sql statement is allowed. Got: {sql}")
    return sql[: tokens[end - 1].end]


def for_trino(sql: str) -> str:
    """The statement with Hive's backquoted names in double quotes; offsets stay as they are for ordinary names."""
    parts, position = [], 0
    for token in tokenize(sql):
        if token.kind == "backquoted":
            parts += [sql[position : token.start], quote(unquote(token))]
            position = token.end
    return "".join([*parts, sql[position:]])


def unquote(token: Token) -> str:
    """The value of a name or string."""
    if token.kind == "string":
        body = token.text[1:-1]
        return body.replace("''", "'") if token.text[0] == "'" else body
    if token.kind == "quoted":
        return token.text[1:-1].replace('""', '"')
    if token.kind == "backquoted":
        return token.text[1:-1].replace("``", "`")
    return token.text


def hive_string(token: Token) -> str:
    """The value of a Hive string with its escapes: tabs, octal and Unicode numbers, quotes."""

    def value(match: re.Match[str]) -> str:
        escape = match.group(1)
        if len(escape) == 5:
            return chr(int(escape[1:], 16))
        if len(escape) == 3:
            return chr(int(escape, 8))
        return _HIVE_ESCAPES.get(escape, escape)

    return _HIVE_ESCAPE.sub(value, token.text[1:-1])


def quote(name: str) -> str:
    """A name as Trino reads it in any case."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A string as Trino reads it."""
    return "'" + text.replace("'", "''") + "'"


class Cursor:
    """Reads a statement from left to right; every ``expect_`` raises SqlError at what it did not expect."""

    def __init__(self, sql: str, hive: bool = False) -> None:
        self.sql, self.hive = sql, hive
        self.tokens = tokenize(sql, hive)
        self.at = 0

    @property
    def token(self) -> Token | None:
        """The next word, None at the end."""
        return self.tokens[self.at] if self.at < len(self.tokens) else None

    @property
    def rest(self) -> str:
        """What has not been read."""
        return self.sql[self.token.start :] if self.token else ""

    def peek(self, *words: str) -> bool:
        """Whether these keywords or symbols come next."""
        following = self.tokens[self.at : self.at + len(words)]
        return len(following) == len(words) and all(
            token.is_word(word) or (token.kind == "symbol" and token.text == word)
            for token, word in zip(following, words, strict=True)
        )

    def accept(self, *words: str) -> bool:
        """Read these keywords or symbols if they come next."""
        found = self.peek(*words)
        if found:
            self.at += len(words)
        return found

    def expect(self, *words: str) -> None:
        """Read these keywords or symbols."""
        for word in words:
            if not self.accept(word):
                raise self.error(word)

    def error(self, expected: str) -> SqlError:
        """What is wrong at this place."""
        offset = self.token.start if self.token else len(self.sql)
        line = self.sql.count("\n", 0, offset) + 1
        column = offset - (self.sql.rfind("\n", 0, offset) + 1) + 1
        found = self.token.text if self.token else "<EOF>"
        return SqlError(f"line {line}:{column}: mismatched input '{found}'. Expecting: '{expected}'")

    def expect_end(self) -> None:
        """Nothing may follow."""
        if self.token:
            raise self.error("<EOF>")

    def expect_name(self) -> str:
        """One identifier, lower case as Glue keeps it."""
        token = self.token
        if token and (token.kind in ("word", "backquoted", "quoted") or token.text.startswith('"')):
            self.at += 1
            return unquote(token).lower()
        raise self.error("<identifier>")

    def expect_table(self, database: str) -> tuple[str, str]:
        """(database, table) of ``t``, ``db.t`` or ``awsdatacatalog.db.t``."""
        token = self.token
        names = [self.expect_name()]
        if token and token.kind == "backquoted":
            names = names[0].split(".")  # Hive, and so SHOW CREATE TABLE, writes `db.t`
        while self.accept("."):
            names.append(self.expect_name())
        if len(names) == 3 and names.pop(0) != "awsdatacatalog":
            raise self.error("awsdatacatalog")
        return (database, names[0]) if len(names) == 1 else (names[0], names[1])

    def expect_string(self) -> str:
        """One string."""
        if self.token and self.token.kind == "string":
            self.at += 1
            token = self.tokens[self.at - 1]
            return hive_string(token) if self.hive else unquote(token)
        raise self.error("<string>")

    def expect_number(self) -> int:
        """One whole number."""
        if self.token and self.token.kind == "number" and self.token.text.isdigit():
            self.at += 1
            return int(self.tokens[self.at - 1].text)
        raise self.error("<integer>")

    def expect_group(self) -> str:
        """The text inside balanced parentheses, which come next."""
        self.expect("(")
        start, depth = self.at, 1
        while self.token:
            depth += {"(": 1, ")": -1}.get(self.token.text, 0) if self.token.kind == "symbol" else 0
            self.at += 1
            if not depth:
                end = self.tokens[self.at - 1].start
                return self.sql[self.tokens[start].start : end].strip() if start < self.at - 1 else ""
        raise self.error(")")

    def until(self, *stops: str) -> str:
        """The text up to one of these words or symbols outside any bracket, or the end."""
        start, depth = self.at, 0
        while self.token:
            if not depth and any(self.peek(stop) for stop in stops):
                break
            if self.token.kind == "symbol":
                depth += {"(": 1, "<": 1, "[": 1, ")": -1, ">": -1, "]": -1}.get(self.token.text, 0)
            self.at += 1
        if start == self.at:
            raise self.error("<text>")
        return self.sql[self.tokens[start].start : self.tokens[self.at - 1].end]
