"""No record that Firehose has acknowledged is lost by a full disk, an incomplete write or a kill."""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from local.aws.firehose import Firehose
from local.aws.firehose.segment import SUFFIX, Segment
from local.aws.protocol import AwsError
from local.engines.waiting import wait_until
from local.settings import ROOT
from tests.local.aws.firehose.fakes import Api, FakeServices


class TestDurability:
    def test_an_incomplete_end_is_dropped_and_the_rest_kept(self, tmp_path: Path) -> None:
        path = tmp_path / "x.segment"
        segment = Segment.create(path, {"key": "k"})
        segment.append(b"first\n", 1)
        segment.append(b"second\nthird\n", 2)
        segment.close()
        whole = path.read_bytes()
        start = len(whole) - len(b"second\nthird\n") - 12
        for cut in range(start, len(whole)):
            path.write_bytes(whole[:cut])
            found = Segment.recover(path)
            assert found is not None
            assert (found.body(), found.records, found.header) == (b"first\n", 1, {"key": "k"})
        path.write_bytes(whole[:-1] + b"X")
        assert Segment.recover(path).body() == b"first\n"  # type: ignore[union-attr]

    def test_a_segment_without_records_is_removed(self, tmp_path: Path) -> None:
        path = tmp_path / "x.segment"
        Segment.create(path, {}).close()
        assert Segment.recover(path) is None
        assert not path.exists()

    def test_a_full_disk_refuses_records_and_keeps_the_earlier_ones(self, api: Api) -> None:
        api.create()
        api.put(b"a" * 1000)
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (2000, before[1]))
            with pytest.raises(AwsError) as caught:
                api.put(b"b" * 3000)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
            signal.signal(signal.SIGXFSZ, ignored)
        assert (caught.value.code, caught.value.status) == ("ServiceUnavailableException", 503)
        api.put(b"c" * 10)
        api.tick(60)
        assert list(api.s3.objects.values()) == [b"a" * 1000 + b"c" * 10]

    def test_what_is_acknowledged_is_on_disk(self, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
        synced: dict[int, int] = {}  # inode -> bytes at its last fsync
        real = os.fdatasync

        def noted(descriptor: int) -> None:
            real(descriptor)
            synced[os.fstat(descriptor).st_ino] = os.fstat(descriptor).st_size

        monkeypatch.setattr(os, "fdatasync", noted)
        api.create()
        for n in range(3):
            api.put(b"x" * (100 + n))
            (segment,) = api.services.settings.home.rglob(f"*{SUFFIX}")
            assert synced == {segment.stat().st_ino: segment.stat().st_size}

    def test_concurrent_puts_share_an_fsync_and_lose_nothing(
        self, services: FakeServices, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        synced: list[int] = []
        real = os.fdatasync

        def slow(descriptor: int) -> None:
            synced.append(descriptor)
            time.sleep(0.005)
            real(descriptor)

        monkeypatch.setattr(os, "fdatasync", slow)
        api = Api(services)
        api.create()

        def send(thread: int) -> None:
            for n in range(50):
                api.put(f"{thread}-{n}\n".encode())

        threads = [threading.Thread(target=send, args=(i,)) for i in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        api.firehose.stop()
        assert len(synced) < 300  # of 400 calls
        again = Api(services)
        wait_until(lambda: not again.firehose.streams["events"].pending(), 10, "records are not delivered", 0.01)
        again.firehose.stop()
        lines = b"".join(services.s3.objects.values()).decode().split()
        assert sorted(lines) == sorted(f"{i}-{n}" for i in range(8) for n in range(50))

    def test_the_background_thread_delivers_by_itself(self, services: FakeServices) -> None:
        api = Api(services)
        api.firehose = Firehose(services)  # type: ignore[arg-type]  # the real clock
        api.firehose.start()
        api.create(BufferingHints={"SizeInMBs": 1, "IntervalInSeconds": 1})
        start = time.monotonic()
        api.put(b"a")
        wait_until(lambda: services.s3.objects, 10, "there is no object", 0.01)
        took = time.monotonic() - start
        api.firehose.stop()
        assert list(services.s3.objects.values()) == [b"a"]
        assert 0.9 < took < 3


WRITER = """
import base64, sys
from pathlib import Path
from tests.local.aws.firehose.fakes import Api, FakeServices, CONFIGURATION
services = FakeServices(Path(sys.argv[1]))
real = services.s3.put_object
def put_object(**put):  # the object is there once it has its name
    new = Path(sys.argv[1]) / "new"
    new.write_bytes(put["Body"])
    new.rename(Path(sys.argv[1]) / "s3" / put["Key"].replace("/", "+"))
services.s3.put_object = put_object
api = Api(services)
if "events" not in api.firehose.streams:
    api.create(BufferingHints={"SizeInMBs": 1, "IntervalInSeconds": 0})
n = int(sys.argv[2])
while True:
    api.put(*[f"{n + i}:{'x' * 200}\\n".encode() for i in range(100)])
    n += 100
    print(n, flush=True)
"""


@pytest.mark.services
def test_a_killed_process_loses_no_acknowledged_record(tmp_path: Path) -> None:
    """Twelve times: start, write as fast as possible, SIGKILL at a different moment; every acknowledged id is in S3."""
    (tmp_path / "s3").mkdir()
    acknowledged = 0
    starts = []
    for round_ in range(12):
        starts.append(acknowledged)
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path), str(acknowledged)],
            stdout=subprocess.PIPE, text=True, cwd=ROOT, env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'include'}"},
        )  # fmt: skip
        assert process.stdout
        first = process.stdout.readline()
        assert first, "the writer did not start"
        threading.Event().wait(0.02 + 0.037 * round_)
        process.kill()
        seen = [first, *process.stdout]
        process.wait()
        acknowledged = int([line for line in seen if line.endswith("\n")][-1])
    services = FakeServices(tmp_path)
    last = Api(services)
    wait_until(lambda: not last.firehose.streams["events"].pending(), 20, "records are not delivered", 0.01)
    last.firehose.stop()
    objects = {path.name.replace("+", "/"): path.read_bytes() for path in (tmp_path / "s3").iterdir()}
    for key, body in services.s3.objects.items():
        assert objects.setdefault(key, body) == body, "a repeated put wrote other bytes"
    lines = b"".join(objects.values()).splitlines()
    assert all(re.fullmatch(rb"\d+:x{200}", line) for line in lines), "a torn record was delivered"
    ids = [int(line.split(b":")[0]) for line in lines]
    assert set(range(acknowledged)) <= set(ids)
    # an id comes twice only where a killed writer's last, unanswered call was stored and then sent again
    assert len(ids) - len(set(ids)) <= 100 * len(starts)
    assert json.loads((tmp_path / "data" / "firehose" / "streams.json").read_text())["events"]["version"] == 1
