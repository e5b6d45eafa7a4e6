"""``make history``: past months of synthetic events, laid down as Firehose would have delivered them.

The audience is the demo's (``audience``). Partners send once a day (UTC) what they have collected; Firehose names an
object by its arrival, which is the time of its newest event, and begins another at 1 MB (the stream's buffer size).
Names, contents and event ids follow from seed, month and the month's number of events alone, so a repeated run writes
the same objects again, and another number of events adds others.

Runs as root, as the home's deployment does: the producer's role may only put records into the stream, and no stream
delivers into the past. Event ids go to <LAKE_HOME>/ledgers/history-<month>-<seed>-<events>.ids.
"""

from __future__ import annotations

import argparse
import sys
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import chain, groupby, islice
from random import Random

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from datalake.months import Month
from datalake.names import STREAMING_PREFIX, Lake
from kdg.generator import Event, Generator
from kdg.sender import Ledger
from kdg.template import Template
from local.aws.root_clients import root_client
from local.commands import audience
from local.installation.progress import Progress, Tick
from local.settings import ENVIRONMENT, SUFFIX, Settings
from local.supervision import control

DAY = 24 * 3600  # partners send what they have collected in this time
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


def objects(month: str, events: int, seed: int, stream: str) -> Iterator[tuple[str, list[Event]]]:
    """A month's objects in order: key, events."""
    run_id = uuid.uuid5(_NAMESPACE, f"{stream}/{seed}/{month}/{events}")
    chance = Random(run_id.int)  # noqa: S311
    times = audience.times(month, events, chance)
    sendings = [list(sending) for _, sending in groupby(times, lambda time: time // DAY)]
    generator = Generator(Template.read(audience.TEMPLATE, zone=audience.ZONE), seed=run_id.int, run_id=run_id)
    made = audience.purchases_after_trailers(chain.from_iterable(map(generator.take, sendings)), chance)
    number = 0
    for sending in sendings:
        name = f"{stream}-{STREAM_VERSION}-{datetime.fromtimestamp(sending[-1], UTC):%Y-%m-%d-%H-%M-%S}"
        written: list[tuple[str, list[Event]]] = []
        room = 0
        for event in islice(made, len(sending)):
            if room <= 0:
                key = f"{STREAMING_PREFIX}{Month.parse(month).folder}{name}-{uuid.uuid5(run_id, f'object {number}')}"
                written.append((key, []))
                number, room = number + 1, OBJECT_BYTES
            written[-1][1].append(event)
            room -= len(event.data)
        yield from written


def lay_down(settings: Settings, months: int, events: int, tick: Tick, *, seed: int = SEED) -> dict[str, int]:
    """Write the last ``months`` months, the newest of them with ``events`` events; returns how many each has, in order.

    ``tick`` is called after each object. Raises botocore's errors when the landing bucket cannot be written.
    """
    lake = Lake(ENVIRONMENT, SUFFIX)
    retries = Config(retries={"mode": "standard", "total_max_attempts": 3})
    s3 = root_client(settings.emulator_url, "s3", config=retries)
    chosen = dict(zip(past_months(months, datetime.now(UTC)), audience.sizes(events, months), strict=True))
    for month, size in chosen.items():
        path = settings.home / "ledgers" / f"history-{month}-{seed}-{size}.ids"
        path.unlink(missing_ok=True)
        done = 0
        with Ledger(path) as ledger:
            for key, batch in objects(month, size, seed, lake.delivery_stream):
                s3.put_object(Bucket=lake.landing_bucket, Key=key, Body=b"".join([event.data for event in batch]))
                ledger.write([event.event_id for event in batch])
                done += len(batch)
                tick(f"{month}: {done:,} of {size:,} synthetic events")
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
    total = sum(months.values())
    print(f"{total:,} synthetic events in {min(months)} to {max(months)}; event ids in {settings.home}/ledgers")
    return 0
