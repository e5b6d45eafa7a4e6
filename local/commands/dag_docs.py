"""Write docs/DAGS.md from the DAGs themselves: ``make docs`` (a test fails while it is stale)."""

from __future__ import annotations

import os
from typing import Any

from local.environment import endpoints
from local.settings import ROOT, Settings

TARGET = ROOT / "docs" / "DAGS.md"

_HEAD = """# The DAGs

Written by `make docs` from the files in `dags/`; not to be edited by hand.
DAGs meet at assets: tables, MySQL's schema, DMS's CSV files, reports. A rounded box is a DAG, a square one an asset. A
thick arrow starts the DAG, a thin one only shows what it reads or writes. Airflow's UI shows the same under *Assets*.

"""


def render(dags: dict[str, Any]) -> str:
    """The whole document. ``dags``: DAG id to DAG, as Airflow's DagBag holds them."""
    from airflow.serialization.serialized_objects import DagSerialization  # noqa: PLC0415

    scheduled = {name: DagSerialization.from_dict(DagSerialization.to_dict(dag)) for name, dag in dags.items()}
    waits = {
        name: sorted(key.name for key, _ in dag.timetable.asset_condition.iter_assets())
        for name, dag in scheduled.items()
    }
    writes = {name: _assets(dag, "outlets") for name, dag in dags.items()}
    lines = ["```mermaid", "flowchart LR", *_graph(dags, waits, writes), "```", ""]
    lines += ["| DAG | runs | writes |", "|---|---|---|"]
    for name in sorted(dags):
        tables = [asset for asset in writes[name] if asset.startswith("sakila.")]
        written = [asset for asset in writes[name] if asset not in tables]
        written += [f"{len(tables)} tables of `sakila`"] * bool(tables)
        runs = _runs(scheduled[name].timetable.summary, waits[name])
        lines.append(f"| [{name}](#{name}) | {runs} | {', '.join(written) or 'nothing new'} |")
    for name, dag in sorted(dags.items()):
        lines += ["", f"## {name}", "", *_facts(dag), "", *_manual(dag)]
    return _HEAD + "\n".join(lines) + "\n"


def _assets(dag: Any, ports: str) -> list[str]:
    """Names of the assets that the DAG's tasks have as their ``inlets`` or ``outlets``."""
    return sorted({asset.name for task in dag.tasks for asset in getattr(task, ports)})


def _graph(dags: dict[str, Any], waits: dict[str, list[str]], writes: dict[str, list[str]]) -> list[str]:
    """The nodes and arrows of the chart."""
    reads = {
        name: [asset for asset in _assets(dag, "inlets") if asset not in waits[name]] for name, dag in dags.items()
    }
    # Clean tables that nobody reads would hide the rest.
    read = {asset for names in (*reads.values(), *waits.values()) for asset in names}
    lines = []
    for name in sorted(dags):
        lines.append(f"    {name}([{name}])")
        shown = [asset for asset in writes[name] if asset in read or not asset.startswith("sakila.")]
        lines += [f"    {name} --> {_node(asset)}" for asset in shown]
        # What a DAG both writes and reads lies within it.
        lines += [f"    {_node(asset)} --> {name}" for asset in reads[name] if asset not in writes[name]]
        lines += [f"    {_node(asset)} ==> {name}" for asset in waits[name]]
    return lines


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


def _runs(summary: str, waits: list[str]) -> str:
    """When the DAG runs, from its timetable's summary and the assets that it waits for."""
    after = f"after {', '.join(waits)}"
    cron = summary.removeprefix("Asset or ")
    if not waits:
        return "by hand" if summary == "None" else f"`{cron}` UTC"
    return after if cron == summary else f"`{cron}` UTC and {after}"


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
