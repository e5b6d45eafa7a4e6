"""``make test`` in its parts: ``python -m local.commands.checks TARGET...`` runs targets of the Makefile side by side.

make starts them in this order, as many at a time as JOBS; a target that fails keeps none of the others from running.
What each prints comes in one piece when it has ended. Once a minute a line says what is running, and the end is a
summary of times. Each target's recipe is ``python -m local.commands.checks --timed TARGET COMMAND...``, which runs the
command and notes how long it took.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import FrameType

from local.engines import java
from local.settings import ROOT, TOOLS
from local.supervision.reaper import descendants_of

JOBS = 3  # on two cores: each waits much of its time, for processes to start and for what they agree on
SAY_SECONDS = 60
DONE = ("-o", "setup", "-o", "setup-tests")  # before `make test`; targets that waited for them would not start in order
TIMES = "CHECK_TIMES"  # the variable that names the folder of the notes


def run_timed(target: str, command: list[str]) -> int:
    """Run one target's command; its exit code. An interrupt is handed on, and the command's end waited for."""
    note, began = Path(os.environ.get(TIMES) or tempfile.mkdtemp()) / target, time.time()
    note.write_text(json.dumps({"began": began}))
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment |= java.environment()
    environment["PATH"] = f"{TOOLS / 'airflow' / 'bin'}{os.pathsep}{environment['PATH']}"
    # What a shell starts in the background ignores SIGINT, and so would all that it starts: nothing could end it.
    # In a session of its own it gets the one interrupt that is handed on, and not a terminal's as well.
    command = ["env", "--default-signal=INT", *command]
    child = subprocess.Popen(command, env=environment, start_new_session=True)
    code = _wait(child, signal.SIGINT)
    note.write_text(json.dumps({"began": began, "seconds": time.time() - began, "code": code}))
    return code


def run_targets(targets: list[str]) -> int:
    """Have make run the targets; 0 when all passed and nothing of them is left running."""
    with tempfile.TemporaryDirectory(prefix="checks-") as folder:
        command = ["make", "--no-print-directory", f"-j{JOBS}", "-k", "-O", *DONE, *targets]
        began = time.monotonic()
        environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
        child = subprocess.Popen(command, cwd=ROOT, env={**environment, TIMES: folder})
        code = _wait(child, signal.SIGTERM, Path(folder))
        print("== summary")
        for target in targets:
            note = _read(Path(folder, target))
            ended = "passed" if note.get("code") == 0 else "FAILED"
            print(f"{ended:7} {target:16} {note.get('seconds', 0):7.1f} s")
        print(f"{'':7} {'together':16} {time.monotonic() - began:7.1f} s")
    if left := descendants_of(os.getpid()):
        print(f"still running: {left}", file=sys.stderr)
    return 1 if code or left else 0


def _wait(child: subprocess.Popen[bytes], forward: signal.Signals, notes: Path | None = None) -> int:
    """Wait for the end of ``child``; an interrupt is sent on as ``forward``. With ``notes`` say what runs meanwhile."""
    asked = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def interrupted(_signum: int, _frame: FrameType | None) -> None:
        for signum in asked:  # once is enough
            signal.signal(signum, signal.SIG_IGN)
        child.send_signal(forward)

    for signum in asked:
        signal.signal(signum, interrupted)
    while True:
        try:
            return child.wait(SAY_SECONDS)
        except subprocess.TimeoutExpired:
            running = [(path.name, _read(path)) for path in sorted(notes.iterdir())] if notes else []
            texts = [f"{name} {time.time() - note['began']:.0f} s" for name, note in running if "code" not in note]
            if texts:
                print(f"   {', '.join(texts)}", flush=True)


def _read(note: Path) -> dict[str, float]:
    try:
        found: dict[str, float] = json.loads(note.read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return {}
    return found


if __name__ == "__main__":
    if sys.argv[1] == "--timed":
        sys.exit(run_timed(sys.argv[2], sys.argv[3:]))
    sys.exit(run_targets(sys.argv[1:]))
