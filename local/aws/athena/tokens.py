"""The tokens of an Athena statement: enough to tell statements apart and to read DDL; Trino parses the queries."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

_COMMON = r"""
    (?P<space>\s+|--[^\n]*|/\*.*?\*/)
  | (?P<{kind}>{string})
  | (?P<quoted>"(?:[^"]|"")*")
  | (?P<backquoted>`(?:[^`]|``)*`)
  | (?P<number>\d+(?:\.\d*)?(?:[eE][+-]?\d+)?)
  | (?P<word>[^\W\d][\w$@]*)
  | (?P<symbol>=>|->|<>|!=|<=|>=|\|\||.)
"""
_FLAGS = re.VERBOSE | re.DOTALL
_TRINO = re.compile(_COMMON.format(kind="string", string=r"'(?:[^']|'')*'"), _FLAGS)
_HIVE = re.compile(_COMMON.format(kind="hive_string", string=r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\""""), _FLAGS)
_HIVE_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|[0-3][0-7]{2}|.)", re.DOTALL)
_HIVE_ESCAPES = {"t": "\t", "n": "\n", "r": "\r", "0": "\0", "b": "\b", "Z": "\x1a"}
_QUOTES = {"string": "'", "quoted": '"', "backquoted": "`"}
_NESTING = {"(": 1, "<": 1, "[": 1, ")": -1, ">": -1, "]": -1}

T = TypeVar("T")


class SqlError(Exception):
    """A statement that cannot be read; the message has Trino's form: ``line 1:8: mismatched input 'x'``."""


class Token(NamedTuple):
    """One token; ``start`` and ``end`` are offsets into the statement."""

    kind: str  # string, hive_string, quoted, backquoted, number, word, symbol
    text: str
    start: int
    end: int

    def is_word(self, word: str) -> bool:
        """Whether it is this keyword, in any letter case."""
        return self.kind == "word" and self.text.upper() == word

    @property
    def value(self) -> str:
        """The name or the string that it stands for: without quotes, escapes resolved."""
        if self.kind == "hive_string":
            return _HIVE_ESCAPE.sub(_unescaped, self.text[1:-1])
        mark = _QUOTES.get(self.kind)
        return self.text[1:-1].replace(2 * mark, mark) if mark else self.text


def _unescaped(match: re.Match[str]) -> str:
    """The character that a Hive escape stands for: Unicode and octal numbers, control characters, quotes."""
    escape = match.group(1)
    if len(escape) == 5:
        return chr(int(escape[1:], 16))
    if len(escape) == 3:
        return chr(int(escape, 8))
    return _HIVE_ESCAPES.get(escape, escape)


def tokenize(sql: str, hive: bool = False) -> list[Token]:
    """All tokens of ``sql`` but blanks and comments; in Hive's dialect ``"x"`` is a string and backslashes escape."""
    pattern = _HIVE if hive else _TRINO
    return [
        Token(str(match.lastgroup), match.group(), match.start(), match.end())
        for match in pattern.finditer(sql)
        if match.lastgroup != "space"
    ]


def quote(name: str) -> str:
    """A name as a quoted identifier of Trino."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A text as a string literal of Trino."""
    return "'" + text.replace("'", "''") + "'"


class Cursor:
    """Reads tokens of ``sql`` from left to right; each ``expect`` method raises SqlError at any other token."""

    def __init__(self, sql: str, tokens: Sequence[Token], at: int = 0) -> None:
        self.sql, self.tokens, self.at = sql, tokens, at

    @property
    def token(self) -> Token | None:
        """The next token, None at the end."""
        return self.tokens[self.at] if self.at < len(self.tokens) else None

    @property
    def rest(self) -> str:
        """The text that has not been read."""
        return self.sql[self.token.start : self.tokens[-1].end] if self.token else ""

    @property
    def rest_for_trino(self) -> str:
        """The text that has not been read, with Hive's backquoted names in double quotes.

        Offsets stay the same unless a name contains quotes.
        """
        if not self.token:
            return ""
        parts, position = [], self.token.start
        for token in self.tokens[self.at :]:
            if token.kind == "backquoted":
                parts += [self.sql[position : token.start], quote(token.value)]
                position = token.end
        return "".join([*parts, self.sql[position : self.tokens[-1].end]])

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
        """The error that something else than the next token was expected."""
        offset = self.token.start if self.token else self.tokens[-1].end if self.tokens else len(self.sql)
        line = self.sql.count("\n", 0, offset) + 1
        column = offset - (self.sql.rfind("\n", 0, offset) + 1) + 1
        found = self.token.text if self.token else "<EOF>"
        return SqlError(f"line {line}:{column}: mismatched input '{found}'. Expecting: '{expected}'")

    def expect_end(self) -> None:
        """Nothing may follow."""
        if self.token:
            raise self.error("<EOF>")

    def expect_name(self) -> str:
        """Read an identifier; it is returned in lower case, as Glue keeps it."""
        token = self.token
        if token and (token.kind in ("word", "backquoted", "quoted") or token.text.startswith('"')):
            self.at += 1
            return token.value.lower()
        raise self.error("<identifier>")

    def expect_table(self, database: str) -> tuple[str, str]:
        """(database, table) of ``t``, ``db.t`` or ``awsdatacatalog.db.t``; ``database`` is the default."""
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
        """Read a string."""
        if (token := self.token) and token.kind in ("string", "hive_string"):
            self.at += 1
            return token.value
        raise self.error("<string>")

    def expect_number(self) -> int:
        """Read a whole number."""
        if (token := self.token) and token.kind == "number" and token.text.isdigit():
            self.at += 1
            return int(token.text)
        raise self.error("<integer>")

    def expect_list(self, read: Callable[[Cursor], T], brackets: tuple[str, str] = ("(", ")")) -> list[T]:
        """Read ``(item, item, ...)``, each item with ``read``."""
        opening, closing = brackets
        self.expect(opening)
        items = self.expect_items(read)
        self.expect(closing)
        return items

    def expect_items(self, read: Callable[[Cursor], T]) -> list[T]:
        """Read ``item, item, ...``, each item with ``read``."""
        items = [read(self)]
        while self.accept(","):
            items.append(read(self))
        return items

    def expect_group(self) -> Cursor:
        """Read balanced parentheses; what they enclose."""
        self.expect("(")
        start, depth = self.at, 1
        while self.token:
            depth += {"(": 1, ")": -1}.get(self.token.text, 0) if self.token.kind == "symbol" else 0
            self.at += 1
            if not depth:
                return Cursor(self.sql, self.tokens[start : self.at - 1])
        raise self.error(")")

    def until(self, *stops: str) -> Cursor:
        """Read up to one of these keywords or symbols outside all brackets, or to the end; what was read."""
        start, depth = self.at, 0
        while self.token:
            if not depth and any(self.peek(stop) for stop in stops):
                break
            if self.token.kind == "symbol":
                depth += _NESTING.get(self.token.text, 0)
            self.at += 1
        if start == self.at:
            raise self.error("<text>")
        return Cursor(self.sql, self.tokens[start : self.at])
