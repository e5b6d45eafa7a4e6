r"""Divides a script for the mysql client into statements, which a server executes one at a time.

``DELIMITER`` is a command of the client, so drivers cannot run such scripts whole. The script is handled as bytes, as
Sakila 0.8 holds the raw bytes of an image inside its SQL.

The rules are those of MariaDB's client (client/mysql.cc, ``add_line`` and ``find_command``), to which the tests compare
this module: quotes '..', ".." and `..` with doubled quotes, and with backslashes inside the first two; ``#`` and
``-- `` to the line's end, and ``--`` before a statement also without the space; ``/* .. */``. What ``/*! .. */`` and
``/*M! .. */`` hold is part of the statement: quotes, comments and the delimiter count inside them as elsewhere. Of the
client's commands, DELIMITER, USE, ``\g`` and ``\G`` are understood. As with the client's option --binary-mode, line
ends are kept as they are.

Not supported: the client's other commands, which are refused by name, and sql_mode NO_BACKSLASH_ESCAPES.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple


class ScriptError(Exception):
    """The script cannot be divided into statements, or a statement failed; the message names the line."""


@dataclass(frozen=True)
class Statement:
    """One statement without its delimiter. ``line`` is where it begins (1-based), ``end`` the bytes read so far."""

    text: bytes
    line: int
    end: int


class _Patterns(NamedTuple):
    """What is skipped before a statement, and one token of it, for one delimiter."""

    between: re.Pattern[bytes]
    token: re.Pattern[bytes]


# There are no possessive quantifiers, as Python 3.11.2 of Debian 12 has a bug with them next to groups (CPython issue
# 106052). Each alternative begins with a different character, so there is no backtracking.
_QUOTED = rb"""'[^'\\]*(?:\\.[^'\\]*)*'|"[^"\\]*(?:\\.[^"\\]*)*"|`[^`]*`"""
_BLOCK = rb"/\*(?!!|M!)"
_COMMENT = rb"\#[^\n]*|--(?=\s|\Z)[^\n]*|" + _BLOCK + rb".*?\*/"
_ARGUMENT = re.compile(rb"""[ \t]*(?:(['"`])(?P<quoted>.*?)(?:\1|\Z)|(?P<word>\S*))""", re.DOTALL)
_WORD = re.compile(rb"[a-z]+", re.IGNORECASE)
_NEWLINE = b"\n"
_NOT_RUN = " is a command of the mysql client, which is not run here: take it out"
_ENDINGS = {b"/*": b"*/"}
# The client's list, as its command ``help`` prints it; a test compares them
REFUSED = frozenset(
    b"charset clear connect edit ego exit go help nopager notee nowarning pager print prompt quit rehash sandbox source"
    b" status system tee warnings".split()
)
_COMMANDS = REFUSED | {b"delimiter", b"use"}


def statements(script: bytes) -> Iterator[Statement]:
    """Yield the statements of ``script`` in order; comments between them are dropped.

    Raises:
        ScriptError: a file that is not text in one byte or UTF-8, a quote or comment that never closes, or a command of
            the client that is not supported; names line and column, and says what to do.
    """
    delimiter = b";"
    patterns = _patterns(delimiter)
    position, line = _beginning(script), 1
    while True:
        begin = found.end() if (found := patterns.between.match(script, position)) else position  # it always matches
        line += script.count(_NEWLINE, position, begin)
        if begin == len(script):
            return
        name, argument, position = _command(script, begin, delimiter)
        if name == b"delimiter":
            if not argument or b"\\" in argument:
                raise _error(script, begin, "DELIMITER needs a delimiter without a backslash after it, such as //")
            delimiter = argument
            patterns = _patterns(delimiter)
            continue
        if name == b"use" and argument:
            yield Statement(b"USE `" + argument.replace(b"`", b"``") + b"`", line, position)
            continue
        text, position = _statement(script, begin, patterns.token)
        if text:
            yield Statement(text, line, position)
        line += script.count(_NEWLINE, begin, position)


def _beginning(script: bytes) -> int:
    """Where the text begins: after a byte order mark, as editors on Windows write one."""
    if script.startswith(b"\x1f\x8b"):
        raise ScriptError("line 1: the script is compressed with gzip, expected text: decompress it with gunzip")
    if script.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in script[:4]:
        raise ScriptError(
            "line 1: the script is UTF-16, as > of PowerShell writes it, expected UTF-8: "
            "dump with --result-file=FILE, or convert it with iconv -f UTF-16 -t UTF-8"
        )
    return 3 if script.startswith(b"\xef\xbb\xbf") else 0


def _patterns(delimiter: bytes) -> _Patterns:
    r"""The delimiter comes first, as it may be the beginning of a comment.

    Of a token's groups, ``end`` is the delimiter, ``\g`` or ``\G``, ``opener`` a quote or comment that never closes,
    and ``command`` any other short command. ``\N`` is SQL's NULL. ``\-`` forbids commands that mariadb-dump would not
    write (MDEV-21178); none of them are run here.
    """
    end = re.escape(delimiter)
    plain = rb"[^'\"`/#\\\-" + re.escape(delimiter[:1]) + rb"]+"
    short = rb"\\[N\-]|(?P<command>\\.?)"
    opener = rb"(?P<opener>" + _BLOCK + rb"|['\"`])"
    inside = (plain, rb"(?P<end>" + end + rb"|\\[gG])", _QUOTED, _COMMENT, short, opener, rb".")
    return _Patterns(
        re.compile(rb"(?:(?!" + end + rb")(?:\s|--[^\n]*|" + _COMMENT + rb"))*", re.DOTALL),
        re.compile(rb"|".join(inside), re.DOTALL),
    )


def _command(script: bytes, begin: int, delimiter: bytes) -> tuple[bytes, bytes, int]:
    """The client's command at the beginning of a statement, its argument, and the end of its line or its delimiter.

    Name and argument are empty when SQL begins here.
    """
    word = _WORD.match(script, begin)
    name = word[0].lower() if word else b""
    if word is None or name not in _COMMANDS:
        return b"", b"", begin
    newline = script.find(_NEWLINE, word.end())
    line_end = len(script) if newline < 0 else newline
    if name != b"delimiter" and (end := script.find(delimiter, word.end(), line_end)) >= 0:
        line_end = end
    rest = script[word.end() : line_end]
    if rest and not rest[:1].isspace():
        return b"", b"", begin
    if name in REFUSED:
        advice = ", and put the statements of its file in its place" if name == b"source" else ""
        raise _error(script, begin, name.decode().upper() + _NOT_RUN + advice)
    argument = _ARGUMENT.match(rest)
    return name, (argument["quoted"] or argument["word"] or b"") if argument else b"", line_end


def _statement(script: bytes, begin: int, token: re.Pattern[bytes]) -> tuple[bytes, int]:
    """The statement that begins at ``begin``, without its delimiter, and where the next one may begin."""
    for found in token.finditer(script, begin):
        if found.lastgroup == "end":
            return script[begin : found.start()].rstrip(), found.end()
        if found.lastgroup == "opener":
            opener = found[0]
            kind = "comment" if opener == b"/*" else "quote"
            closing = _ENDINGS.get(opener, opener).decode()
            raise _error(script, found.start(), f"the {kind} {opener.decode()} is never closed: add the {closing}")
        if found.lastgroup == "command":
            raise _error(script, found.start(), found[0].decode("utf-8", "replace") + _NOT_RUN)
    return script[begin:].rstrip(), len(script)


def _error(script: bytes, at: int, fault: str) -> ScriptError:
    line_start = script.rfind(_NEWLINE, 0, at) + 1 or _beginning(script)
    return ScriptError(f"line {script.count(_NEWLINE, 0, at) + 1}, column {at - line_start + 1}: {fault}")
