"""The bills as a picture: a bar of full width for each bill, split by what the money is spent on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from xml.sax.saxutils import escape

from infrastructure.cost.bill import NAMES

# Colours that colour-blind readers can tell apart (Okabe and Ito), and text colours with a contrast of at least 4.5:1.
COLOURS = {
    "Airflow": ("#7a3e9d", "#ffffff"),
    "MySQL": ("#0072b2", "#ffffff"),
    "DMS": ("#e69f00", "#1f2328"),
    "network": ("#f0e442", "#1f2328"),
    "Firehose": ("#b34700", "#ffffff"),
    "Glue jobs": ("#00755a", "#ffffff"),
    "crawler": ("#56b4e9", "#1f2328"),
    "Athena": ("#cc79a7", "#1f2328"),
    "S3": ("#9c8a3c", "#1f2328"),
    "the rest": ("#9aa4af", "#1f2328"),
}
WIDTH, LEFT, RIGHT, TOP, ROW, BAR = 900, 190, 24, 76, 46, 28
FONT = "-apple-system, 'Segoe UI', Helvetica, Arial, sans-serif"
CHARACTER = 6.6  # average width of a character at 12 px


def draw(title: str, bars: Sequence[tuple[str, Mapping[str, float]]]) -> str:
    """An SVG of ``bars``: a name, and USD by group. It has its own background, for light and dark pages."""
    shown = [name for name in NAMES if any(groups[name] > 0 for _, groups in bars)]
    height = TOP + ROW * len(bars) + 62
    described = "; ".join(f"{name}: {sum(groups.values()):,.2f} USD" for name, groups in bars)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="{FONT}" role="img" '
        f'aria-label="{escape(title)}. {escape(described)}">',
        "<style>.background{fill:#ffffff;stroke:#d0d7de}.text{fill:#1f2328}.quiet{fill:#59636e}.gap{stroke:#ffffff}"
        "@media (prefers-color-scheme: dark){.background{fill:#0d1117;stroke:#30363d}.text{fill:#f0f6fc}"
        ".quiet{fill:#9198a1}.gap{stroke:#0d1117}}</style>",
        f'<rect class="background" x="0.5" y="0.5" width="{WIDTH - 1}" height="{height - 1}" rx="8"/>',
        f'<text class="text" x="24" y="34" font-size="17" font-weight="600">{escape(title)}</text>',
        '<text class="quiet" x="24" y="55" font-size="12">USD a month; every bar is a whole bill</text>',
    ]
    for row, (name, groups) in enumerate(bars):
        parts += _bar(TOP + ROW * row, name, groups)
    parts += _legend(TOP + ROW * len(bars) + 14, shown)
    return "\n".join([*parts, "</svg>"]) + "\n"


def _bar(y: int, name: str, groups: Mapping[str, float]) -> list[str]:
    total = sum(groups.values())
    middle = y + BAR / 2
    parts = [
        f'<text class="text" x="24" y="{middle - 1:.1f}" font-size="13" font-weight="600">{escape(name)}</text>',
        f'<text class="quiet" x="24" y="{middle + 14:.1f}" font-size="12">{total:,.2f} USD</text>',
    ]
    x = float(LEFT)
    for group, usd in groups.items():
        width = (WIDTH - LEFT - RIGHT) * usd / total
        if width < 0.5:
            continue
        fill, ink = COLOURS[group]
        parts.append(
            f'<rect class="gap" x="{x:.1f}" y="{y}" width="{width:.1f}" height="{BAR}" fill="{fill}">'
            f"<title>{escape(group)}: {usd:,.2f} USD</title></rect>"
        )
        label = next((text for text in (f"{group} {usd:,.2f}", f"{usd:,.2f}") if len(text) * CHARACTER < width - 8), "")
        if label:
            parts.append(
                f'<text x="{x + width / 2:.1f}" y="{middle + 4:.1f}" font-size="12" text-anchor="middle" '
                f'fill="{ink}">{escape(label)}</text>'
            )
        x += width
    return parts


def _legend(y: int, names: Sequence[str]) -> list[str]:
    parts, x = [], 24.0
    for name in names:
        parts.append(f'<rect x="{x:.1f}" y="{y}" width="12" height="12" rx="2" fill="{COLOURS[name][0]}"/>')
        parts.append(f'<text class="text" x="{x + 17:.1f}" y="{y + 10.5:.1f}" font-size="12">{escape(name)}</text>')
        x += 34 + len(name) * CHARACTER
    return parts
