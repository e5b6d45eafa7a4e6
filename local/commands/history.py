"""``make history``: past months of synthetic events, laid down as Firehose would have delivered them.

A month's events come in twenty stretches of a minute each, spread over the month; a stretch is one object, or several
where it exceeds 1 MB (the stream's buffering hints). Names, contents and event ids follow from seed, month and number
of events alone, so a repeated run writes the same objects again, and another number of events adds others.

Runs as root, as the home's deployment does: the producer's role may only put records into the stream, and no stream
delivers into the past. Event ids go to <LAKE_HOME>/ledgers/history-<month>-<seed>-<events>.ids.
"""

from __future__ import annotations

import argparse
import sys
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from random import Random

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from datalake.months import Month
from datalake.names import STREAMING_PREFIX, Lake
from kdg.generator import Event, Generator
from kdg.sender import Ledger
from kdg.template import EVENTS, Template
from local.aws.root_clients import root_client
from local.installation.progress import Progress, Tick
from local.settings import ENVIRONMENT, SUFFIX, Settings
from local.supervision import control

STRETCHES = 20  # a month
STRETCH_SECONDS = 60  # the stream's buffering interval
OBJECT_BYTES = 1024 * 1024  # the stream's buffer size
STREAM_VERSION = 1
SEED = 1
_NAMESPACE = uuid.UUID("6f2e1d0a-6c58-5d0b-9a3e-3d1f0c5b7a44")


def past_months(count: int, today: datetime) -> list[str]:
    """The last ``count`` whole months before today's, in UTC, oldest first, as yyyy-MM."""
    months: list[str] = []
    first = today.astimezone(UTC).replace(day=1)
    for _ in range(count):
        first = (first - timedelta(days=1)).replace(day=1)
        months.append(f"{first:%Y-%m}")
    return months[::-1]


def stretches(month: str, events: int, seed: int) -> Iterator[list[float]]:
    """Times (epoch seconds) of a month's events, a list for each stretch, in order."""
    start = datetime.strptime(month, "%Y-%m").replace(tzinfo=UTC)
    end = (start + timedelta(days=31)).replace(day=1)
    count = min(STRETCHES, events)
    slot = (end - start).total_seconds() / count
    chance = Random(f"{seed}/{month}")  # noqa: S311
    for i in range(count):
        begin = start.timestamp() + i * slot + chance.uniform(0, slot - STRETCH_SECONDS)
        size = events * (i + 1) // count - events * i // count
        yield [begin + STRETCH_SECONDS * n / size for n in range(size)]


def objects(month: str, events: int, seed: int, stream: str) -> Iterator[list[tuple[str, list[Event]]]]:
    """A month's objects (key, events), a list for each stretch."""
    run_id = uuid.uuid5(_NAMESPACE, f"{stream}/{seed}/{month}/{events}")
    generator = Generator(Template.read(EVENTS, zone=UTC), seed=run_id.int, run_id=run_id)
    number = 0
    for times in stretches(month, events, seed):
        written: list[tuple[str, list[Event]]] = []
        room = 0
        for time, event in zip(times, generator.take(times), strict=True):
            if room <= 0:
                name = f"{stream}-{STREAM_VERSION}-{datetime.fromtimestamp(time, UTC):%Y-%m-%d-%H-%M-%S}"
                key = f"{STREAMING_PREFIX}{Month.parse(month).folder}{name}-{uuid.uuid5(run_id, f'object {number}')}"
                written.append((key, []))
                number, room = number + 1, OBJECT_BYTES
            written[-1][1].append(event)
            room -= len(event.data)
        yield written


def lay_down(settings: Settings, months: int, events: int, tick: Tick, *, seed: int = SEED) -> list[str]:
    """Write ``events`` events for each of the last ``months`` months; returns the months, oldest first.

    ``tick`` is called after each stretch. Raises botocore's errors when the landing bucket cannot be written.
    """
    lake = Lake(ENVIRONMENT, SUFFIX)
    retries = Config(retries={"mode": "standard", "total_max_attempts": 3})
    s3 = root_client(settings.emulator_url, "s3", config=retries)
    chosen = past_months(months, datetime.now(UTC))
    for month in chosen:
        path = settings.home / "ledgers" / f"history-{month}-{seed}-{events}.ids"
        path.unlink(missing_ok=True)
        done = 0
        with Ledger(path) as ledger:
            for stretch in objects(month, events, seed, lake.delivery_stream):
                for key, batch in stretch:
                    s3.put_object(Bucket=lake.landing_bucket, Key=key, Body=b"".join([event.data for event in batch]))
                    ledger.write([event.event_id for event in batch])
                    done += len(batch)
                tick(f"{month}: {done:,} of {events:,} synthetic events")
    return chosen


def main(settings: Settings, options: argparse.Namespace) -> int:
    """Lay down the months and say where they are; 1 when that fails. Raises HomeError when the home does not run."""
    control.check_up(settings)
    try:
        with Progress() as progress, progress.step("past months") as tick:
            months = lay_down(settings, options.months, options.events, tick, seed=options.seed)
    except (BotoCoreError, ClientError) as error:
        print(f"the landing bucket cannot be written: {error}", file=sys.stderr)
        return 1
    total = len(months) * options.events
    print(f"{total:,} synthetic events in {months[0]} to {months[-1]}; event ids in {settings.home}/ledgers")
    return 0
