"""Checks run beside each other, each tells how it ended, and none outlives an interrupt."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from local.commands import checks
from local.commands.checks import Check
from local.settings import ROOT
from tests.support.aws_services import wait_until


def python(name: str, code: str) -> Check:
    return Check(name, ["python", "-c", code])


def test_each_runs_whole_and_says_how_it_ended(tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    """The first waits for the last, which begins when another has ended: LANES run at a time, in their order."""
    there = f"import pathlib, time\nsign = pathlib.Path({str(tmp_path / 'sign')!r})\n"
    waits = python("waits", there + "print('what it says')\nwhile not sign.exists(): time.sleep(0.05)")
    signs = python("signs", there + "sign.touch()")
    begun = [waits, *(python(f"fails {n}", "raise SystemExit(3)") for n in range(1, checks.LANES)), signs]
    ended = list(checks.beside_each_other(begun))
    assert {check.name for check in ended if check.passed} == {"waits", "signs"}
    assert len(ended) == len(begun)
    assert ended[0].name.startswith("fails")
    assert all(check.seconds > 0 for check in ended)
    printed = capfdbinary.readouterr().out.decode().splitlines()
    assert printed.index("what it says") == printed.index("== waits") + 1


def test_an_interrupt_ends_what_runs(tmp_path: Path) -> None:
    body = "import os, pathlib, sys, time\npathlib.Path(sys.argv[1], str(os.getpid())).touch()\ntime.sleep(600)"
    code = (
        "import sys\nfrom local.commands.checks import Check, beside_each_other\n"
        f"one = ['python', '-c', {body!r}, sys.argv[1]]\n"
        f"list(beside_each_other([Check(str(n), one) for n in range({checks.LANES + 1})]))"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = ["env", "--default-signal=INT", sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.DEVNULL) as running:
        wait_until(lambda: len(list(tmp_path.iterdir())) == checks.LANES, what="checks at work")
        running.send_signal(signal.SIGINT)
        assert running.wait(30) != 0
    assert [one.name for one in tmp_path.iterdir() if Path("/proc", one.name).exists()] == []
    assert len(list(tmp_path.iterdir())) == checks.LANES, "one more began after the interrupt"
