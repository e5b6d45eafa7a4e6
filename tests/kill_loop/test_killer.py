"""Whom the kill loop chooses, and that it kills nobody else: on processes of the test's own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from local.engines.waiting import wait_until
from local.settings import Settings
from local.supervision.units import FAILED, READY, STEADY_SECONDS
from tests.kill_loop import killer
from tests.kill_loop.killer import SHARES, deck
from tests.kill_loop.targets import IN_A_ROW, GivenUp, Targets, Victim

START = "import subprocess, sys, time; print('up', flush=True); time.sleep(600)"
# A parent whose children look like what the targets look for, as far as their command lines go
FAMILY = """
import subprocess, sys, time
for words in {children!r}:
    subprocess.Popen([sys.executable, "-c", {code!r}, *words], stdout=subprocess.DEVNULL)
print("up", flush=True)
time.sleep(600)
"""
BUSY, IDLE = "while True: pass", "import time; time.sleep(600)"


class FakeHome:
    """The files of a home whose supervisor is this test."""

    def __init__(self, folder: Path) -> None:
        self.settings = Settings(home=folder, port=0)
        self.services: dict[str, dict[str, Any]] = {}
        self.processes: list[subprocess.Popen[bytes]] = []

    def run(self, service: str, code: str = START, steady: bool = True) -> subprocess.Popen[bytes]:
        process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, start_new_session=True)
        assert process.stdout
        process.stdout.readline()
        self.processes.append(process)
        since = time.time() - (STEADY_SECONDS + 1 if steady else 0)
        self.services[service] = {"service": service, "state": READY, "pid": process.pid, "since": since, "message": ""}
        self.write()
        return process

    def write(self) -> None:
        state = {"pid": os.getpid(), "services": list(self.services.values())}
        (self.settings.home / "state.json").write_text(json.dumps(state))


@pytest.fixture
def home(tmp_path: Path) -> Iterator[FakeHome]:
    fake = FakeHome(tmp_path)
    yield fake
    for process in fake.processes:
        subprocess.run(["pkill", "-KILL", "-s", str(process.pid)], check=False)  # its session, which is its own
        process.wait()
        assert process.stdout
        process.stdout.close()


def test_a_deck_holds_each_target_by_its_share_and_follows_its_seed() -> None:
    two_hundred = deck(200, Random(1))
    assert Counter(two_hundred) == {target: 2 * share for target, share in SHARES.items()}
    assert deck(200, Random(1)) == two_hundred
    assert deck(200, Random(2)) != two_hundred
    twenty = Counter(deck(20, Random(1)))
    assert twenty.total() == 20
    assert set(twenty) == set(SHARES), "each target has its turn in twenty kills"


def test_a_service_is_killed_by_sigkill_and_no_other(home: FakeHome) -> None:
    processes = {part: home.run(f"airflow-{part}") for part in ("scheduler", "api-server")}
    targets = Targets(home.settings)
    (victim,) = targets.at_work("scheduler")
    assert targets.kill(victim)
    assert processes["scheduler"].wait(10) == -9
    assert processes["api-server"].poll() is None


def test_every_card_is_played_though_some_must_wait_for_their_turn(
    home: FakeHome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Airflow's parts are there at once; Firehose begins to buffer when three have been killed."""
    monkeypatch.setattr(killer, "SHARES", {"firehose": 1, "scheduler": 1, "triggerer": 1, "dag-processor": 1})
    for service in ("ingestion", "airflow-scheduler", "airflow-triggerer", "airflow-dag-processor"):
        home.run(service)
    loop = killer.Killer(Targets(home.settings), tmp_path / "kills.jsonl", Random(1), patience=0.1)

    def look() -> None:
        if loop.killed.total() == 3:
            (home.settings.data / "firehose" / "events.buffer").mkdir(parents=True, exist_ok=True)
            (home.settings.data / "firehose" / "events.buffer" / "1.segment").write_bytes(b"{}")
        elif victims := [p for p in home.processes if p.poll() is not None]:  # the supervisor has noticed
            home.services = {n: s for n, s in home.services.items() if s["pid"] not in {p.pid for p in victims}}
            home.write()

    loop.run(4, pause=0.2, look=look)
    logged = [json.loads(line) for line in (tmp_path / "kills.jsonl").read_text().splitlines()]
    assert [line["kill"] for line in logged] == [1, 2, 3, 4]
    assert logged[-1]["target"] == "firehose"
    assert logged[-1]["doing"].startswith("1 buffers of 2 bytes")
    assert [p.wait(10) for p in home.processes] == [-9] * 4


def test_a_service_is_left_in_peace_before_its_supervisor_gives_it_up(home: FakeHome) -> None:
    targets = Targets(home.settings)
    for _ in range(IN_A_ROW):
        home.run("airflow-triggerer", steady=False)
        (victim,) = targets.at_work("triggerer")
        assert targets.kill(victim)
    home.run("airflow-triggerer", steady=False)
    assert targets.at_work("triggerer") == []
    home.run("airflow-triggerer", steady=True)
    assert len(targets.at_work("triggerer")) == 1


def test_a_home_that_has_given_up_a_service_ends_the_loop(home: FakeHome) -> None:
    home.run("server")
    home.services["server"] |= {"state": FAILED, "message": "killed, 6 times in a row"}
    home.write()
    with pytest.raises(GivenUp, match="server: killed, 6 times in a row"):
        Targets(home.settings).at_work("dms")


def test_nothing_outside_the_home_is_killed(home: FakeHome) -> None:
    home.run("ingestion")
    stranger = subprocess.Popen([sys.executable, "-c", START], stdout=subprocess.DEVNULL)
    home.services["ingestion"]["pid"] = stranger.pid
    home.write()
    targets = Targets(home.settings)
    targets.at_work("firehose")  # reads the state file
    targets._supervisor = home.services["ingestion"]["pid"]  # as if the pids of the file had gone to others since
    try:
        assert not targets.kill(Victim("firehose", stranger.pid, "", "ingestion"))
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_only_lambda_workers_that_work_are_victims(home: FakeHome) -> None:
    worker = "/home/tmp/ministack-lambda-csv-to-parquet-1/_worker.py"
    home.run("emulator", FAMILY.format(children=[[worker, "busy"], ["something else"]], code=BUSY))
    home.run("emulator-2", FAMILY.format(children=[[worker, "idle"]], code=IDLE))
    targets = Targets(home.settings)

    def only_the_busy_one_works() -> bool:  # at first the idle one works, too: it is new
        found = targets.at_work("lambda")
        return [b"busy" in Path(f"/proc/{v.pid}/cmdline").read_bytes() for v in found] == [True]

    wait_until(only_the_busy_one_works, 60, "the busy worker was not the only victim")
    home.services["emulator"]["pid"] = home.services["emulator-2"]["pid"]
    home.write()

    def nobody_works_for_a_while() -> bool:  # at first the idle one works, too: it is new
        for _ in range(10):
            if targets.at_work("lambda"):
                return False
            time.sleep(0.05)
        return True

    wait_until(nobody_works_for_a_while, 60, "the idle worker stayed a victim")


def test_spark_and_tasks_are_known_by_their_command_lines(home: FakeHome) -> None:
    family = FAMILY.format(children=[["not spark"]], code=IDLE)
    home.run("server", family)
    home.run("airflow-scheduler", FAMILY.format(children=[["some worker"]], code=IDLE))
    targets = Targets(home.settings)
    assert targets.at_work("spark") == targets.at_work("task") == []
    java = home.settings.home / "java"
    java.symlink_to("/bin/bash")  # a process that calls itself java, and has a child that is the script's Python
    script = home.settings.home / "streaming_films.py"
    script.write_text("import time; time.sleep(600)")
    arguments = f"{sys.executable} {script} & wait"
    code = (
        f"import subprocess, time; subprocess.Popen([{str(java)!r}, '-c', {arguments!r},"
        f" 'org.apache.spark.deploy.SparkSubmit', {str(script)!r}]); print('up', flush=True); time.sleep(600)"
    )
    home.run("server", code)
    wait_until(lambda: len(targets.at_work("spark")) == 2, 60, "the job's JVM and Python did not start")
    assert {v.doing.split(" after")[0] for v in targets.at_work("spark")} == {
        "JVM of streaming_films.py",
        "Python of streaming_films.py",
    }
    title = "airflow worker -- LocalExecutor: 01a20782"
    home.run(
        "airflow-scheduler",
        f"import subprocess, time; subprocess.Popen(['sleep', '600'], executable='/bin/sleep');"
        f"subprocess.Popen([{title!r}, '600'], executable='/bin/sleep'); print('up', flush=True); time.sleep(600)",
    )
    wait_until(lambda: bool(targets.at_work("task")), 60, "the task did not start")
    assert [v.doing for v in targets.at_work("task")] == ["LocalExecutor: 01a20782 600"]


def test_ingestion_is_a_victim_only_while_dms_loads_or_firehose_buffers(home: FakeHome) -> None:
    ingestion = home.run("ingestion")
    targets = Targets(home.settings)
    dms = home.settings.data / "dms"
    dms.mkdir(parents=True)
    for status, is_victim in (("running", True), ("stopped", False)):
        (dms / "state.json").write_text(json.dumps({"tasks": {"arn": {"Status": status}}}))
        assert [v.pid for v in targets.at_work("dms")] == ([ingestion.pid] if is_victim else [])
    assert targets.at_work("firehose") == []
    buffers = home.settings.data / "firehose" / "events.buffer"
    buffers.mkdir(parents=True)
    (buffers / "1.segment").write_bytes(b"{}")
    (victim,) = targets.at_work("firehose")
    assert (victim.pid, victim.service) == (ingestion.pid, "ingestion")
