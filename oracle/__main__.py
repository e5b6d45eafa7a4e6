"""``python -m oracle [--month yyyy-MM] [--ledger FILE_OR_FOLDER ...]``: recounts the lake, one month after the other.

LAKE_ENVIRONMENT and LAKE_SUFFIX name the lake; AWS endpoints and credentials come from the SDK's environment. Exit code
0: every landed line is exactly where it must be; 1: there are findings, or a month cannot be recounted; 2: an error.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import boto3
import duckdb
from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from oracle.model import EXAMPLES, FAULTS, Verdict
from oracle.recount import Recount


def main(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run the command; returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m oracle", description="Recount the curated tables of events.")
    parser.add_argument("--month", type=_month, help="yyyy-MM of arrival (UTC), or unknown-unknown; all if not given")
    parser.add_argument("--ledger", type=Path, nargs="+", default=[], help="files, or folders of files, of event ids")
    given = parser.parse_args(arguments)
    console = Console()
    lake = [environment.get(name) for name in ("LAKE_ENVIRONMENT", "LAKE_SUFFIX")]
    if None in lake:
        return _failed('LAKE_ENVIRONMENT or LAKE_SUFFIX is not set; on one machine: eval "$(make -s env)"')
    try:
        ledger = set(_event_ids(given.ledger))
        recount = Recount(boto3.Session(), "sakila-streams-{}-landing-{}".format(*lake), running=True)
        return _recount(recount, given.month, ledger, console)
    except (OSError, BotoCoreError, ClientError, duckdb.Error) as error:
        return _failed(str(error))


def _failed(message: str) -> int:
    Console(stderr=True).print(f"error: {message}", markup=False, soft_wrap=True)
    return 2


def _recount(recount: Recount, month: str | None, ledger: set[str], console: Console) -> int:
    months = [month] if month else recount.months()
    ok = True
    counted = 0
    for one in months:
        with _progress(console) as progress:
            bar = partial(progress.update, progress.add_task(f"{one}: objects read", total=None))
            found = recount.verdict(one, progress=bar)
        if found.objects or found.enriched or found.quarantined or found.waiting:
            _print(one, found, console)
            counted += 1
        ok &= found.ok
    if not counted:
        of = f" of {month}" if month else ""
        console.print(f"There is nothing to recount: no event{of} has landed or is in the tables.")
    if ledger:
        lost = sorted(recount.missing(ledger))
        console.print(f"ledger: {len(ledger):,} acknowledged events, {len(lost):,} lost {' '.join(lost[:EXAMPLES])}")
        ok &= not lost
    if moved := recount.tables.moved():
        console.print(f"A run has committed to {', '.join(moved)} meanwhile; the earlier snapshots were recounted.")
    return 0 if ok else 1


def _print(month: str, found: Verdict, console: Console) -> None:
    table = Table(title=month, title_justify="left", show_header=False)
    table.add_column()
    table.add_column(justify="right")
    table.add_row("landed", f"{found.landed:,} lines in {found.objects:,} objects")
    table.add_row("enriched", f"{found.enriched:,}")
    table.add_row("  of unknown films", f"{found.unknown_films:,}")
    if found.outdated:
        table.add_row("  of an older film_category", f"{found.outdated:,}")
    table.add_row("duplicates", f"{found.duplicates:,}")
    table.add_row("quarantined", f"{found.quarantined.total() - found.duplicates:,}")
    for reason, count in found.quarantined.most_common():
        if reason != "duplicate":
            table.add_row(f"  {reason}", f"{count:,}")
    if found.waiting:
        table.add_row("not processed yet", f"{found.waiting:,} objects")
    table.add_section()
    for fault in FAULTS:
        count = len(getattr(found, fault))
        table.add_row(fault, f"{count:,}", style="bold red" if count else None)
    table.add_section()
    table.add_row("hash", f"{found.hash:032x}")
    for name, snapshot in found.snapshots.items():
        table.add_row(f"snapshot of {name}", str(snapshot or "none"))
    console.print(table)
    for line in found.findings():
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    if found.gone:
        console.print(f"{month} cannot be recounted: {len(found.gone):,} objects of the tables are missing in landing.")


def _progress(console: Console) -> Progress:
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    return Progress(*columns, console=console, transient=True)


def _event_ids(paths: Iterable[Path]) -> Iterator[str]:
    """Event ids, one a line, from files and from the files in folders."""
    for path in paths:
        for file in sorted(path.iterdir()) if path.is_dir() else [path]:
            yield from (line.strip().lower() for line in file.read_text().splitlines() if line.strip())


def _month(text: str) -> str:
    if not re.fullmatch(r"[0-9]{4}-(0[1-9]|1[0-2])|unknown-unknown", text):
        raise argparse.ArgumentTypeError(f"{text} is not a month of the form yyyy-MM, such as 2026-11")
    return text


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
