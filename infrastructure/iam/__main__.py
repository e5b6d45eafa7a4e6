"""``python -m infrastructure.iam``: write docs/iam.md. ``... record TIER CALLS...``: take records into used.json.

TIER is the tier of tests that made the calls; CALLS are its homes' files ``calls.jsonl`` (``pytest --calls FOLDER``).
"""

from __future__ import annotations

import sys
from pathlib import Path

from infrastructure.iam import document, unproven, used
from infrastructure.iam.grants import statements
from infrastructure.package import parse_template, render_template
from local import calls


def main(arguments: list[str]) -> int:
    """Do one of the two; 2 for a wrong call."""
    stated = statements(parse_template(render_template()))
    granted = {grant for statement in stated for grant in statement.grants}
    match arguments:
        case []:
            document.TARGET.write_text(document.render(granted, used.read(), unproven.read()), encoding="utf-8")
            print(document.counts(granted, used.read(), unproven.read()))
        case ["record", tier, *files] if tier in used.TIERS and files:
            found = used.uses(granted, used.calls(calls.read(map(Path, files))))
            used.write(used.merged(used.read(), tier, found, granted))
            print(f"{tier}: {len(found)} of {len(granted)} grants used")
        case _:
            print(__doc__, file=sys.stderr)
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
