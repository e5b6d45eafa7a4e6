"""``python -m kdg --stream NAME``: sends a template's events to a delivery stream, wherever AWS credentials are found.

Exit status 0: every event was acknowledged; 1: some were not; 2: wrong arguments; 130: stopped by Ctrl-C.
"""

from __future__ import annotations

import argparse
import math
import sys
import uuid
from pathlib import Path

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from kdg.generator import Faults, Generator
from kdg.sender import GaveUp, Ledger, Sender, Summary, run
from kdg.template import EVENTS, Template, TemplateError


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="kdg", description="Send a template's events to an Amazon Data Firehose stream."
    )
    parser.add_argument("--stream", required=True, help="name of the delivery stream")
    parser.add_argument("--rate", type=float, default=10, help="events a second; 0: as many as the stream takes")
    parser.add_argument("--seconds", type=float, default=600, help="how long, at most")
    parser.add_argument("--events", type=int, default=None, help="how many (default: rate x seconds)")
    parser.add_argument("--seed", type=int, default=1, help="same seed and --run-id: same events at other times")
    parser.add_argument("--run-id", type=uuid.UUID, default=None, help="UUID for the event ids (default: a new one)")
    parser.add_argument("--template", type=Path, default=EVENTS, help="Kinesis Data Generator template (JSON)")
    parser.add_argument("--ledger", type=Path, required=True, help="file to which acknowledged event ids are appended")
    faults = parser.add_argument_group("faults", "share of events, 0 to 1, that are made faulty on purpose")
    faults.add_argument("--late", type=float, default=0, help="timestamp is an hour to 35 days too early")
    faults.add_argument("--duplicate", type=float, default=0, help="sent twice, with one event_id")
    faults.add_argument("--malformed", type=float, default=0, help="not JSON: the closing brace is missing")
    faults.add_argument("--unknown-film", type=float, default=0, help="film_id that Sakila does not have")
    given = parser.parse_args(argv)
    timed = 0 <= given.rate < math.inf and 0 < given.seconds < math.inf  # which no NaN is
    if not timed or (given.events is not None and given.events <= 0):
        parser.error("--rate must be a number from 0 on, --seconds and --events must be above 0")
    return given


def main(argv: list[str] | None = None) -> int:
    """Run the command."""
    given, console = arguments(argv), Console(stderr=True)
    run_id = given.run_id or uuid.uuid4()
    try:
        faults = Faults(given.late, given.duplicate, given.malformed, given.unknown_film)
        generator = Generator(Template.read(given.template), seed=given.seed, run_id=run_id, faults=faults)
    except (TemplateError, ValueError, OSError) as error:
        console.print(f"kdg: {error}", style="red", markup=False, soft_wrap=True)
        return 2
    status = 0
    summary = Summary()
    try:
        # The sender itself repeats failed calls, as it must know which events failed.
        client = boto3.client("firehose", config=Config(retries={"total_max_attempts": 1}, parameter_validation=False))
        with Ledger(given.ledger) as ledger, _progress(console) as bar:
            total = given.events or round(given.rate * given.seconds) or None
            task = bar.add_task(given.stream, total=total, rate=0.0, failed=0)

            def show(summary: Summary) -> None:
                bar.update(task, completed=summary.acknowledged, rate=summary.rate, failed=summary.failed_attempts)

            sender = Sender(client, given.stream, ledger)
            summary = sender.summary
            run(generator, sender, rate=given.rate, seconds=given.seconds, events=given.events, progress=show)
    except KeyboardInterrupt:
        status = 130
    except (GaveUp, ClientError, BotoCoreError, OSError) as error:
        console.print(f"kdg: {error}", style="red", markup=False, soft_wrap=True)
        status = 1
    console.print(
        f"{summary.sent:,} events sent, {summary.acknowledged:,} acknowledged, {summary.failed_attempts:,} failed "
        f"attempts, {summary.rate:,.0f} events/s; run {run_id}, ledger {given.ledger}",
        highlight=False,
        soft_wrap=True,
    )
    return status


def _progress(console: Console) -> Progress:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]:,.0f} events/s"),
        TextColumn("{task.fields[failed]:,} failed attempts"),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=console, refresh_per_second=4)


if __name__ == "__main__":
    sys.exit(main())
