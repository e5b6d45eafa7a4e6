"""``make kill-loop KILLS=200``: a home of its own is killed at random while it works; at the end the oracle judges.

SIGKILL is sent to Lambda workers, DMS while it loads, Firehose while it buffers, Spark, Airflow's tasks and its four
parts.
The exit status is 0 when nothing was lost or doubled, no read was torn, and there was at most one re-run for each kill.
Otherwise it is 1, and the home's folder is kept, with every kill in ``kills.jsonl``.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import boto3

from datalake.names import Lake
from local.settings import ROOT
from oracle import clean_zone
from oracle.model import FAULTS
from oracle.recount import verdict
from tests.kill_loop import reruns
from tests.kill_loop.killer import Killer
from tests.kill_loop.result import Result
from tests.kill_loop.settle import settle
from tests.kill_loop.targets import Targets
from tests.kill_loop.versions import connect
from tests.kill_loop.watch import ReaderProcess
from tests.kill_loop.workload import Dags, Workload
from tests.support.own_home import Home

PAUSE = 14.0  # seconds between kills, on average; the next target may need some seconds more until it is at work
REPORT_SECONDS = 30.0


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="kill-loop", description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--pause", type=float, default=PAUSE, help="seconds between kills, on average")
    parser.add_argument("--record", action="store_true", help="write the result into docs/kill-loop.md")
    return parser.parse_args()


def loop(home: Home, given: argparse.Namespace, say: Callable[[str], None]) -> Result:
    """Kill processes of a running home while it works, let it settle, and judge it."""
    folder = home.settings.home / "kill-loop"
    folder.mkdir()
    workload = Workload(home, folder)
    workload.prepare(say)
    os.environ.update(workload.exported)
    killer = Killer(Targets(home.settings), folder / "kills.jsonl", Random(given.seed))
    began = time.monotonic()
    with ReaderProcess(folder, workload.exported) as reader:
        workload.begin(given.seed)
        told = time.monotonic()

        def look() -> None:
            nonlocal told
            workload.check()
            reader.check()
            if time.monotonic() - told > REPORT_SECONDS:
                told = time.monotonic()
                killed = ", ".join(f"{target} {count}" for target, count in killer.killed.most_common())
                say(f"{killer.killed.total()} of {given.kills} kills ({killed}); {reader.summary()}")

        try:
            killer.run(given.kills, given.pause, look)
            say(f"{killer.killed.total()} kills; now it settles")
        finally:
            workload.stop()
        settle(home, workload, say)
        seen = reader.end()
    minutes = (time.monotonic() - began) / 60
    return judge(home, workload, killer, seen, given, minutes, say)


def judge(
    home: Home,
    workload: Workload,
    killer: Killer,
    seen: dict[str, Any],
    given: argparse.Namespace,
    minutes: float,
    say: Callable[[str], None],
) -> Result:
    """What the oracle, the reader (``seen``) and Airflow say of a home that has settled."""
    session, lake, dags = boto3.Session(), Lake.from_environment(), Dags(home)
    acknowledged = workload.acknowledged()
    with connect(workload.exported) as mysql:
        judged = verdict(session, lake.landing_bucket, films=clean_zone.films(mysql), ledger=acknowledged)
        replicated = clean_zone.verdict(session, lake.clean_bucket, mysql)
    say(str(judged))
    say(f"clean zone: {replicated}")
    for finding in seen["findings"]:
        say(f"torn: {finding}")
    return Result(
        date=f"{datetime.now(UTC):%Y-%m-%d}",
        seed=given.seed,
        wanted=given.kills,
        minutes=round(minutes, 1),
        killed=dict(killer.killed),
        reruns=reruns.count(home, dags, session),
        acknowledged=len(acknowledged),
        objects=judged.objects,
        landed=judged.landed,
        enriched=judged.enriched,
        quarantined=sum(judged.quarantined.values()) - judged.duplicates,
        duplicates=judged.duplicates,
        reader=seen,
        judged={fault: len(getattr(judged, fault)) for fault in FAULTS},
        clean={fault: len(getattr(replicated, fault)) for fault in ("lost", "doubled", "wrong")},
        failed_runs=reruns.failed_runs(dags),
    )


def main() -> int:
    """Run the command."""
    given = arguments()
    began = time.monotonic()

    def say(text: str) -> None:
        seconds = int(time.monotonic() - began)
        print(f"[{seconds // 60:3}:{seconds % 60:02}] {text}", flush=True)  # noqa: T201

    folder = Path(tempfile.mkdtemp(prefix="lake-kill-"))
    folder.chmod(0o755)  # the databases run as nobody, who must reach their files
    home = Home(folder)
    passed = False
    try:
        home.run("up")
        say(f"the home {folder} is up")
        result = loop(home, given, say)
        print(result.table())  # noqa: T201
        if given.record:
            result.record()
        passed = not result.faults
        say("passed" if passed else "FAILED: " + "; ".join(result.faults))
    except Exception:  # noqa: BLE001 - whatever it was, the home is stopped and kept
        traceback.print_exc()
    finally:
        subprocess.run([sys.executable, "-m", "local", "down"], cwd=ROOT, env=home.variables, check=False)
        if passed:
            shutil.rmtree(folder)
        else:
            say(f"kept: {folder}, with kill-loop/kills.jsonl and logs/")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
