r"""Divides a script for the mysql client into statements, which a server executes one at a time.

``DELIMITER`` is a command of the client, so drivers cannot run such scripts whole. The script is handled as bytes, as
Sakila 0.8 holds the raw bytes of an image inside its SQL.

Rules (MySQL manual, "mysql Client Commands" and "Comments"): quotes '..', ".." and `..` with doubled quotes, and with
backslashes inside the first two; ``#`` and ``-- `` to the line's end; ``/* .. */``; ``/*! .. */`` and ``/*+ .. */`` are
part of the statement. Not supported: the client's other commands (source, \G ...), sql_mode NO_BACKSLASH_ESCAPES.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass


class ScriptError(Exception):
    """The script cannot be divided into statements, or a statement failed; the message names the line."""


@dataclass(frozen=True)
class Statement:
    """One statement without its delimiter. ``line`` is where it begins (1-based), ``end`` the bytes read so far."""

    text: bytes
    line: int
    end: int


# There are no possessive quantifiers, as Python 3.11.2 of Debian 12 has a bug with them next to groups (CPython issue
# 106052). Each alternative begins with a different character, so there is no backtracking.
_QUOTED = rb"""'[^'\\]*(?:\\.[^'\\]*)*'|"[^"\\]*(?:\\.[^"\\]*)*"|`[^`]*`"""
_VERSIONED = rb"/\*[!+](?:" + _QUOTED + rb"|[^'\"`*]|\*(?!/))*\*/"
_COMMENT = rb"\#[^\n]*|--(?=\s|\Z)[^\n]*|/\*(?![!+]).*?\*/"
_BETWEEN = re.compile(rb"(?:\s|" + _COMMENT + rb")*", re.DOTALL)
_DELIMITER = re.compile(rb"delimiter[ \t]+([^\s\\]+)[ \t]*(?:\r?\n|\Z)", re.IGNORECASE)
_NEWLINE = b"\n"
_OPENERS = {b"'": "quote '", b'"': 'quote "', b"`": "quote `", b"/*": "comment /*"}


def _tokens(delimiter: bytes) -> re.Pattern[bytes]:
    """One token of a statement. Group ``end`` is the delimiter, ``opener`` a quote or comment that never closes."""
    plain = rb"[^'\"`/#\-" + re.escape(delimiter[:1]) + rb"]+"
    inside = rb"|".join((plain, _QUOTED, _VERSIONED, _COMMENT))
    return re.compile(inside + rb"|(?P<end>" + re.escape(delimiter) + rb")|(?P<opener>/\*|['\"`])|.", re.DOTALL)


def statements(script: bytes) -> Iterator[Statement]:
    """Yield the statements of ``script`` in order; comments between them are dropped.

    Raises:
        ScriptError: a quote or comment that never closes, named with its line.
    """
    delimiter = b";"
    tokens = _tokens(delimiter)
    position, line = 0, 1
    while True:
        begin = found.end() if (found := _BETWEEN.match(script, position)) else position  # it always matches
        line += script.count(_NEWLINE, position, begin)
        if begin == len(script):
            return
        command = _DELIMITER.match(script, begin)
        if command:
            delimiter = command[1]
            tokens = _tokens(delimiter)
            position = command.end()
            line += script.count(_NEWLINE, begin, position)
            continue
        position = len(script)
        for token in tokens.finditer(script, begin):
            if token.lastgroup == "opener":
                at = token.start()
                opener = _OPENERS[token["opener"]]
                raise ScriptError(f"line {line + script.count(_NEWLINE, begin, at)}: the {opener} is never closed")
            if token.lastgroup == "end":
                position = token.end()
                break
        text = script[begin:position].removesuffix(delimiter).rstrip()
        if text:
            yield Statement(text, line, position)
        line += script.count(_NEWLINE, begin, position)
