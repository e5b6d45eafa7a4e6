"""``python -m infrastructure.iam``: write docs/iam.md."""

from __future__ import annotations

from infrastructure.cfn.template import parse_template
from infrastructure.iam import document, unproven_grants, used_grants
from infrastructure.iam.grants import granted
from infrastructure.package import render_template


def main() -> None:
    """Write the document and print its counts."""
    grants = granted(parse_template(render_template()))
    document.TARGET.write_text(document.render(grants, used_grants.read(), unproven_grants.read()), encoding="utf-8")
    print(document.counts(grants, used_grants.read(), unproven_grants.read()))


if __name__ == "__main__":
    main()
