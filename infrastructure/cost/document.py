"""Writes docs/cost.md and its picture (``make docs``; a test checks that they are up to date).

The text is ``cost.template.md``, with tables of the bills and of the numbers behind them.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from string import Template

from infrastructure.cost.bill import by_group, estimate
from infrastructure.cost.chart import draw
from infrastructure.cost.levers import AT_REST, IDLE_LEVERS, LINES_A_RECORD, LOAD_LEVERS, Lever
from infrastructure.cost.lines import FREE, run_seconds
from infrastructure.cost.prices import read_prices
from infrastructure.cost.usage import FACTS, GIB, HOURS_A_MONTH, IDLE, LOADS, TEN, THOUSAND, fact
from infrastructure.package import ROOT

DOCUMENT, PICTURE = ROOT / "docs" / "cost.md", ROOT / "docs" / "images" / "cost.svg"
TITLE = "What a month of the lake costs"
TEXT = Path(__file__).with_name("cost.template.md")
ENVIRONMENTS = ("dev", "prod")
AFTERNOON = dataclasses.replace(TEN, hours=4)
GROWTH = (1, 6, 12, 24)  # months
MWAA = {"CreateMwaa": "true", "MwaaCodePrefix": "mwaa/", "MwaaCodeVersions": "plugins,requirements,startup"}
LOWER = {
    "DmsInstance": "needed only while `replicate_sakila` runs: `CreateDms` `false` at other times",
    "SecretsEndpoint": "`CreateDms` `false`, unless the secret is rotated; or a VPC that already has one (`VpcId`)",
    "MySql": "`MySqlNightlyStop` `true`; `MySqlMultiAz` `false` halves it; a reserved instance if it runs for a year",
    "StreamingFilmsJob": "fewer runs: each start is billed, and a run processes everything that has landed",
    "Events": "[several lines in a record](#why-firehose-dominates)",
}


def render() -> str:
    """The whole document; raises like ``estimate``, and KeyError when LOWER lacks one of the largest lines."""
    prices = read_prices()
    at_rest, usage = estimate("dev", IDLE, AT_REST), estimate("dev", THOUSAND).month.usage
    values = {
        "region": prices.region,
        "date": max(price.date for price in prices.prices.values()),
        "totals": _totals(),
        **{name: _environment(name) for name in ENVIRONMENTS},
        "largest": _largest(),
        "lower": table(["line", "to lower it"], [[f"`{name}`", how] for name, how in LOWER.items()], 0),
        "idle_levers": _levers(IDLE_LEVERS),
        "rest": money(at_rest.usd),
        "rest_mysql": money(by_group(at_rest)["MySQL"]),
        "load_levers": _levers(LOAD_LEVERS),
        "peers": _peers(),
        "airflow": _airflow(),
        "event": f"{fact('event'):.0f}",
        "factor": f"{fact('firehose_step') / fact('event'):.1f}",
        "records": f"{usage.events:,.0f}",
        "billed_gb": f"{usage.firehose_gb:,.2f}",
        "landed_gb": f"{usage.events * fact('event') / GIB:,.2f}",
        "firehose": money(by_group(estimate("dev", THOUSAND))["Firehose"]),
        "lines_a_record": f"{LINES_A_RECORD}",
        "growth": _growth(),
        "cutoff": _cutoff(),
        "rebuild": _rebuild(),
        "facts": _facts(),
        "ten_seconds": money(prices.usd("glue.dpu", HOURS_A_MONTH * 2 * 10 / 3600, "DPU-hour")),
        "prices": _prices(),
        "free": _free(),
    }
    return Template(TEXT.read_text(encoding="utf-8")).substitute(values)


def bars() -> list[tuple[str, dict[str, float]]]:
    """The bars of the picture: dev at rest, and each environment under each load."""
    shown = [("dev at rest", by_group(estimate("dev", IDLE, AT_REST)))]
    return shown + [(f"{one}, {load.name}", by_group(estimate(one, load))) for one in ENVIRONMENTS for load in LOADS]


def table(head: Sequence[str], rows: Iterable[Sequence[str]], numbers: int) -> str:
    """A Markdown table; its last ``numbers`` columns are right-aligned."""
    rule = ["---"] * (len(head) - numbers) + ["---:"] * numbers
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, rule, *rows))


def money(usd: float) -> str:
    """An amount in USD with cents; a dot for less than half a cent."""
    return f"{usd:,.2f}" if usd >= 0.005 else "·"


def _loads(first: str = "") -> list[str]:
    return [first, *(load.name for load in LOADS)]


def _totals() -> str:
    rows = [["dev at rest", money(estimate("dev", IDLE, AT_REST).usd), "", ""]]
    rows += [[name, *(money(estimate(name, load).usd) for load in LOADS)] for name in ENVIRONMENTS]
    return table(_loads(), rows, len(LOADS))


def _environment(name: str) -> str:
    bills = [estimate(name, load) for load in LOADS]
    rows, small = [], []
    for together in zip(*(bill.lines for bill in bills), strict=True):
        first = together[0]
        if any(line.usd >= 0.005 for line in together):
            usd = [money(line.usd) for line in together]
            rows.append([f"`{first.resource}`", first.what, f"`{first.price}`", *usd])
        else:
            small.append(f"`{first.resource}` ({first.what})")
    rows.append(["**total**", "", "", *(f"**{bill.usd:,.2f}**" for bill in bills)])
    lines = table(["resource", "what", "price", *_loads()[1:]], rows, len(LOADS))
    return f"{lines}\n\nLess than half a cent under every load: {', '.join(small)}."


def _largest() -> str:
    rows = []
    for name in ENVIRONMENTS:
        for load in LOADS:
            bill, row = estimate(name, load), [f"{name}, {load.name}"]
            for line in bill.largest():
                if line.resource not in LOWER:
                    raise KeyError(f"{line.resource} is among the largest lines: say in LOWER how to lower it")
                row.append(f"`{line.resource}`, {line.what}: {line.usd:,.2f} ({line.usd / bill.usd:.0%})")
            rows.append(row)
    return table(["bill", "largest", "second", "third"], rows, 0)


def _levers(levers: Sequence[Lever]) -> str:
    rows = []
    for lever in levers:
        before, after = lever.usd()
        change = f"{after - before:+,.2f}"
        rows.append([lever.title, lever.how, f"dev, {lever.load.name}", money(before), money(after), change])
    return table(["lever", "how", "bill", "before", "after", "USD"], rows, 3)


def _peers() -> str:
    at_rest, afternoon = estimate("dev", IDLE, AT_REST), estimate("dev", AFTERNOON)
    idle, without_mysql = money(estimate("dev", IDLE).usd), money(at_rest.usd - by_group(at_rest)["MySQL"])
    rows = [
        [
            "a month idle",
            "SDLF: about 15 (its README, December 2024, eu-west-1; its own rows sum to 16.80)",
            f"{money(at_rest.usd)} at rest ({without_mysql} without MySQL), {idle} with DMS ready to load",
        ],
        [
            "a first try",
            "InsuranceLake: 2 at most (its README, October 2025; its 8 DPU-hours are 3.52 by its own price table)",
            f"{money(afternoon.usd)} for {AFTERNOON.hours:.0f} hours at {TEN.name}, all deployed, then `make destroy`",
        ],
    ]
    return table(["", "their figure, USD", "this lake, USD"], rows, 0)


def _airflow() -> str:
    added = []
    for name in ENVIRONMENTS:
        without = {line.resource for line in estimate(name, IDLE).lines}
        added.append([line for line in estimate(name, IDLE, MWAA).lines if line.resource not in without and line.usd])
    total = ["**total**", "", *(f"**{sum(one.usd for one in lines):,.2f}**" for lines in added)]
    rows = [
        [f"`{lines[0].resource}`", lines[0].what, *(money(one.usd) for one in lines)]
        for lines in zip(*added, strict=True)
    ]
    return table(["resource", "what", *ENVIRONMENTS], [*rows, total], len(ENVIRONMENTS))


def _growth() -> str:
    rows = []
    for month in GROWTH:
        bills = [estimate("dev", dataclasses.replace(load, month=month)) for load in LOADS]
        groups = by_group(bills[-1])
        rows.append([f"{month}", *(money(bill.usd) for bill in bills), money(groups["S3"]), money(groups["Athena"])])
    return table([*_loads("month"), "of the last: S3", "Athena"], rows, len(LOADS) + 2)


def _rebuild() -> str:
    """Whether a month at 1,000 events/s can be rebuilt within the job's timeout."""
    told = []
    for name in ENVIRONMENTS:
        month = estimate(name, THOUSAND).month
        [job] = (one for one in month.resources if one.name == "StreamingFilmsJob")
        workers, limit = float(job.properties["NumberOfWorkers"]), float(job.properties["Timeout"])
        minutes = run_seconds(workers, month.usage.rebuild_cpu) / 60
        kept = "within" if minutes < limit else "**beyond**"
        told.append(f"{minutes:.0f} minutes in {name} ({workers:.0f} workers), {kept} its timeout of {limit:.0f}")
    return "; ".join(told)


def _cutoff() -> str:
    """When the reports over all months at 1,000 events/s exceed the workgroup's cut-off."""
    month = estimate("dev", THOUSAND).month
    [workgroup] = (one for one in month.resources if one.type == "AWS::Athena::WorkGroup")
    cutoff = float(workgroup.properties["WorkGroupConfiguration"]["BytesScannedCutoffPerQuery"])
    first, then = (math.ceil(cutoff / (month.usage.events * fact(f"scan_{of}"))) for of in ("state", "category"))
    by_month = f"the report on states exceeds it in month {first}, the report on categories in month {then}"
    return f"{cutoff / GIB:.0f} GB: at 1,000 events/s {by_month}"


def _facts() -> str:
    rows = [[one.source, one.known, f"{one.value:,g} {one.unit}"] for one in FACTS.values()]
    return table(["source", "kind", "number"], rows, 1)


def _prices() -> str:
    rows = []
    for name, price in read_prices().prices.items():
        per = f"{price.per:,.0f} {price.unit}s" if price.per > 1 else price.unit
        usd = f"{price.usd:.10f}".rstrip("0").rstrip(".")
        rows.append([f"[{name}]({price.page})", price.seen, "yes" if price.verified else "**no**", per, usd])
    return table(["price", "seen in", "verified", "per", "USD"], rows, 1)


def _free() -> str:
    used = {one.type for name in ENVIRONMENTS for one in estimate(name, IDLE).month.resources}
    return table(["type", "reason"], [[f"`{kind}`", why] for kind, why in FREE.items() if kind in used], 0)


if __name__ == "__main__":
    DOCUMENT.write_text(render(), encoding="utf-8")
    PICTURE.write_text(draw(TITLE, bars()), encoding="utf-8")
