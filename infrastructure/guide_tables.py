"""Writes the tables of parameters and outputs in docs/deploy.md from the template (``make docs``; a test compares)."""

from __future__ import annotations

from typing import Any

from infrastructure.cfn.template import parse_template
from infrastructure.package import ROOT, parameters_of, render_template

TARGET = ROOT / "docs" / "deploy.md"
# Parameters that only the deployment sets: names, and the keys of the code.
SET_BY_DEPLOYMENT = ("Environment", "Suffix", "LambdaCodeKey", "JobsPrefix", "MwaaCodePrefix", "MwaaCodeVersions")
ENVIRONMENTS = ("dev", "prod")


def render(text: str) -> str:
    """Replace the tables of the document; raises ValueError when the marker of one is missing."""
    template = parse_template(render_template())
    for name, lines in (("parameters", _parameters(template)), ("outputs", _outputs(template))):
        begin, end = f"<!-- {name}: written by make docs -->\n", f"<!-- end of {name} -->"
        if begin not in text or end not in text:
            raise ValueError(f"{TARGET.name} has no marker for the table of {name}")
        head, _, rest = text.partition(begin)
        text = head + begin + "\n".join(lines) + "\n" + end + rest.partition(end)[2]
    return text


def _parameters(template: dict[str, Any]) -> list[str]:
    stated = {one: parameters_of(one) for one in ENVIRONMENTS}
    lines = ["| parameter | " + " | ".join(ENVIRONMENTS) + " | |", "|---|" + "---|" * len(ENVIRONMENTS) + "---|"]
    for name, declared in template["Parameters"].items():
        if name in SET_BY_DEPLOYMENT:
            continue
        default = str(declared.get("Default", "")) or "(empty)"
        values = [stated[one].get(name, default) for one in ENVIRONMENTS]
        lines.append(f"| `{name}` | {' | '.join(values)} | {_cell(declared['Description'])} |")
    return lines


def _outputs(template: dict[str, Any]) -> list[str]:
    lines = ["| output | |", "|---|---|"]
    for name, output in template["Outputs"].items():
        only = f"; only with {output['Condition']}" if "Condition" in output else ""
        lines.append(f"| `{name}` | {_cell(output['Description'])}{only} |")
    return lines


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def main() -> None:
    """Write the document."""
    TARGET.write_text(render(TARGET.read_text()))


if __name__ == "__main__":
    main()
