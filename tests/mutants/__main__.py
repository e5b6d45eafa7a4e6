"""``make mutants``: removes protections from a copy of the code, one at a time, and checks that a test fails for each.

Prints a line for each protection; exits 1 when a mutant survives, which means that its test passes nevertheless.
"""

# ruff: noqa: T201
from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

from local.engines import java
from local.settings import ROOT
from tests.mutants.catalogue import MUTANTS, Mutant


def copy_tree(target: Path) -> None:
    """The files of the working tree that git does not ignore, and a link to the installed tools."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, target / name)
    (target / ".local").mkdir()
    (target / ".local" / "tools").symlink_to(ROOT / ".local" / "tools")


def run_tests(tree: Path, tests: Iterable[str]) -> tuple[int, str]:
    """Pytest's exit code and output for these tests in the copy; no compiled file of an earlier mutant is used."""
    environment = os.environ | java.environment() | {"PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "pytest", "-q", "-x", *tests]
    done = subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def fails(tree: Path, mutant: Mutant) -> tuple[bool, str]:
    """Whether the mutant's test fails (an error while it is collected does not count), and pytest's output."""
    path = tree / mutant.file
    healthy = path.read_text()
    path.write_text(healthy.replace(mutant.old, mutant.new))
    try:
        code, output = run_tests(tree, [mutant.test])
    finally:
        path.write_text(healthy)
    return code == 1 and re.search(r"^FAILED ", output, re.MULTILINE) is not None, output


def main() -> int:
    """Run all mutants."""
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        tree = Path(folder)
        copy_tree(tree)
        tests = sorted({mutant.test for mutant in MUTANTS})
        print(f"{len(tests)} tests without a mutation:", end=" ", flush=True)
        began = time.monotonic()
        code, output = run_tests(tree, tests)
        print(f"{'passed' if code == 0 else 'FAILED'}, {time.monotonic() - began:.0f} s")
        if code:
            print(output)
            return 1
        survived = 0
        for mutant in MUTANTS:
            began = time.monotonic()
            killed, output = fails(tree, mutant)
            survived += not killed
            test = mutant.test.rpartition("::")[2]
            seconds = time.monotonic() - began
            print(
                f"{'killed' if killed else 'SURVIVED':8} {seconds:4.0f} s  {mutant.protection}\n{'':16} {test}",
                flush=True,
            )
            if not killed:
                print(output[-3000:])
    print(f"{len(MUTANTS) - survived}/{len(MUTANTS)} killed")
    return 1 if survived else 0


if __name__ == "__main__":
    sys.exit(main())
