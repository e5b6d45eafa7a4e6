"""Parses a guide: its code blocks, code spans, links and headings, each with its line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

from local.settings import ROOT

TABLES = ROOT / "docs" / "local-and-aws.md"  # test_local_and_aws.py checks its names
GUIDES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(set((ROOT / "docs").glob("*.md")) - {TABLES})]
MARKDOWN = MarkdownIt().enable("table")


@dataclass(frozen=True)
class Piece:
    """A piece of a guide. ``info`` is a code block's language and marks."""

    text: str
    line: int
    info: str = ""


class Guide:
    """One Markdown file."""

    def __init__(self, path: Path, text: str | None = None) -> None:
        self.path = path
        self.text = path.read_text() if text is None else text
        self._tokens = MARKDOWN.parse(self.text)

    @cached_property
    def fences(self) -> list[Piece]:
        """Code blocks, in order."""
        return [Piece(one.content, _line(one), one.info) for one in self._tokens if one.type == "fence"]

    @cached_property
    def spans(self) -> list[Piece]:
        """Code spans."""
        return [
            Piece(child.content, _line(one))
            for one, child in self._inline()
            if child.type == "code_inline" and child.content.strip()
        ]

    @cached_property
    def links(self) -> list[Piece]:
        """Targets of links and pictures."""
        return [
            Piece(str(child.attrs.get("href") or child.attrs.get("src")), _line(one))
            for one, child in self._inline()
            if child.type in ("link_open", "image")
        ]

    @cached_property
    def headings(self) -> list[str]:
        """Headings' texts, without the marks of their code spans."""
        return [
            "".join(child.content for child in following.children or ())
            for one, following in zip(self._tokens, self._tokens[1:], strict=False)
            if one.type == "heading_open"
        ]

    @property
    def anchors(self) -> set[str]:
        """What a link's fragment may be: GitHub's slug of each heading (lower case, blanks to hyphens)."""
        return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in self.headings}

    def section(self, heading: str) -> str:
        """The Markdown text under a heading, up to the next one of its level or above; raises KeyError."""
        found: list[str] = []
        level, fenced = 0, False
        for line in self.text.splitlines():
            fenced ^= line.lstrip().startswith("```")
            head = None if fenced else re.match(r"(#+) (.*)", line)
            if head and level and len(head[1]) <= level:
                break
            if level:
                found.append(line)
            elif head and head[2].replace("`", "") == heading:
                level = len(head[1])
        if not level:
            raise KeyError(heading)
        return "\n".join(found)

    def table(self, heading: str) -> list[list[str]]:
        """The rows of the first table under a heading, including its head; cells contain their Markdown."""
        rows = []
        for line in self.section(heading).splitlines():
            if line.startswith("|"):
                rows.append([cell.strip() for cell in line.strip("|").split("|")])
            elif rows:
                break
        return [row for row in rows if not set("".join(row)) <= set("-: ")]

    def _inline(self) -> Iterator[tuple[Token, Token]]:
        for one in self._tokens:
            for child in one.children or ():
                yield one, child


def _line(token: Token) -> int:
    return (token.map or [0])[0] + 1
