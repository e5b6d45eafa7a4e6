"""Splits shell text into simple commands, as far as guides need it.

Supported: comments, quotes, continued lines, ``;`` ``&&`` ``||`` ``|`` and newlines, ``$(...)``, redirections, the
keywords of loops. Not supported: here-documents, ``for``, ``case``, functions, back-ticks.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

ASSIGNMENT = re.compile(r"([A-Za-z_]\w*)=(.*)", re.DOTALL)
SEPARATORS = {";", "&", "|", "&&", "||", "\n", "(", ")"}
KEYWORDS = {"until", "while", "if", "then", "else", "do", "done", "fi", "!"}
PLACEHOLDER = re.compile(r"<([a-zA-Z][\w ./-]*)>")


def commands(text: str) -> Iterator[list[str]]:
    """The words of each simple command; a command in ``$(...)`` follows the one that contains it.

    A placeholder ``<of this form>`` is one word, without its blanks. Raises ValueError for an unclosed quote.
    """
    text = PLACEHOLDER.sub(lambda found: f"«{found[1].replace(' ', '-')}»", text)
    text = re.sub(r"(^|\s)#\s.*$", r"\1", text, flags=re.MULTILINE).replace("\\\n", " ")
    inner = re.findall(r"\$\(([^()]*)\)", text)
    text = re.sub(r"\$\([^()]*\)", "«output»", text)
    lexer = shlex.shlex(text, posix=True, punctuation_chars=";&|()\n<>")
    lexer.whitespace, lexer.commenters, lexer.whitespace_split = " \t\r", "", True
    words: list[str] = []
    redirected = False
    for word in lexer:
        if word in SEPARATORS or set(word) <= {"\n", ";"}:
            if words:
                yield words
            words = []
        elif word in KEYWORDS and not words:
            continue
        elif redirected:
            redirected = False
        elif set(word) <= {"<", ">", "&"}:
            redirected = True
        else:
            words.append(word.replace("«", "<").replace("»", ">"))
    if words:
        yield words
    for one in inner:
        yield from commands(one)


def assignments(words: list[str]) -> tuple[dict[str, str], list[str]]:
    """The assignments at the beginning of a command, and the rest of it."""
    made: dict[str, str] = {}
    rest = list(words)
    while rest and (found := ASSIGNMENT.fullmatch(rest[0])):
        made[found[1]] = found[2]
        rest.pop(0)
    return made, rest
