"""Write docs/DAGS.md from the DAGs themselves: ``make docs`` (a test fails while it is stale)."""

from __future__ import annotations

import os
from typing import Any

from local.environment import endpoints
from local.settings import ROOT, Settings

TARGET = ROOT / "docs" / "DAGS.md"

_HEAD = """# The DAGs

Written by `make docs` from the files in `dags/`; not to be edited by hand.
DAGs meet at assets, each named after the table that it stands for. A rounded box is a DAG, a square one an asset.

"""


def render(dags: dict[str, Any]) -> str:
    """The whole document. ``dags``: DAG id to DAG, as Airflow's DagBag holds them."""
    from airflow.serialization.serialized_objects import DagSerialization  # noqa: PLC0415

    scheduled = {name: DagSerialization.from_dict(DagSerialization.to_dict(dag)) for name, dag in dags.items()}
    waits = {
        name: sorted(key.name for key, _ in dag.timetable.asset_condition.iter_assets())
        for name, dag in scheduled.items()
    }
    writes = {name: sorted({asset.name for task in dag.tasks for asset in task.outlets}) for name, dag in dags.items()}
    lines = ["```mermaid", "flowchart LR"]
    for name in sorted(dags):
        lines.append(f"    {name}([{name}])")
        # The other clean tables start nothing; drawn, they would hide the rest.
        awaited = {asset for waited in waits.values() for asset in waited}
        shown = [asset for asset in writes[name] if asset in awaited] or writes[name]
        lines += [f"    {name} --> {_node(asset)}" for asset in shown]
        lines += [f"    {_node(asset)} --> {name}" for asset in waits[name]]
    lines += ["```", "", "| DAG | runs | writes |", "|---|---|---|"]
    for name in sorted(dags):
        runs = "after " + ", ".join(waits[name]) if waits[name] else _plain(scheduled[name].timetable.summary)
        written = ", ".join(writes[name]) if len(writes[name]) < 4 else f"{len(writes[name])} tables of `sakila`"
        lines.append(f"| [{name}](#{name}) | {runs} | {written or 'reports'} |")
    for name, dag in sorted(dags.items()):
        lines += ["", f"## {name}", "", *_facts(dag), "", *_manual(dag)]
    return _HEAD + "\n".join(lines) + "\n"


def _facts(dag: Any) -> list[str]:
    """Tags, tasks in their order, parameters."""
    tasks = " → ".join(f"`{task.task_id}`" for task in dag.topological_sort())
    params = [f"* Parameter `{name}`: {dag.params.get_param(name).description}" for name in sorted(dag.params)]
    return [f"* Tags: {', '.join(sorted(dag.tags))}", f"* Tasks: {tasks}", *params]


def _manual(dag: Any) -> list[str]:
    """The DAG's docstring, its first line in bold instead of a heading."""
    title, *rest = dag.doc_md.strip().splitlines()
    return [f"**{title.removeprefix('### ')}**", *rest]


def _node(asset: str) -> str:
    return f"{asset.replace('.', '_')}[{asset}]"


def _plain(summary: str) -> str:
    return "by hand" if summary == "None" else f"`{summary}` UTC"


def main() -> None:
    """Parse the DAG folder and write the document."""
    os.environ.update(endpoints(Settings.from_environment()))
    os.environ["AIRFLOW__CORE__PLUGINS_FOLDER"] = str(ROOT / "plugins")
    from airflow.dag_processing.dagbag import DagBag  # noqa: PLC0415

    bag = DagBag(ROOT / "dags")
    if bag.import_errors:
        raise SystemExit(f"DAGs with errors: {bag.import_errors}")
    TARGET.write_text(render(bag.dags), encoding="utf-8")


if __name__ == "__main__":
    main()
