"""``python -m infrastructure.iam``: write docs/iam.md."""

from __future__ import annotations

from infrastructure.iam import document, unproven, used
from infrastructure.iam.grants import statements
from infrastructure.package import parse_template, render_template


def main() -> None:
    """Write the document and print its counts."""
    granted = {grant for statement in statements(parse_template(render_template())) for grant in statement.grants}
    document.TARGET.write_text(document.render(granted, used.read(), unproven.read()), encoding="utf-8")
    print(document.counts(granted, used.read(), unproven.read()))


if __name__ == "__main__":
    main()
