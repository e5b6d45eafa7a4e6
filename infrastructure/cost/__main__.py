"""``python -m infrastructure.cost``: write docs/cost.md and its picture (a test checks that they are up to date)."""

from __future__ import annotations

from infrastructure.cost.chart import draw
from infrastructure.cost.document import bars, render
from infrastructure.package import ROOT

DOCUMENT, PICTURE = ROOT / "docs" / "cost.md", ROOT / "docs" / "images" / "cost.svg"
TITLE = "What a month of the lake costs"


def write() -> None:
    """Write both files."""
    DOCUMENT.write_text(render(), encoding="utf-8")
    PICTURE.write_text(draw(TITLE, bars()), encoding="utf-8")


if __name__ == "__main__":
    write()
