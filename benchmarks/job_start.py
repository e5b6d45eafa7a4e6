"""Times a small Glue job with and without the archive of its Java classes, alternately."""

from __future__ import annotations

import resource
import shutil
import statistics
import tempfile
import time
from pathlib import Path

from local.engines import spark

ROUNDS = 5
WAYS = {
    "Java alone": spark.JAVA_OPTIONS.replace(str(spark.ARCHIVE), str(spark.ARCHIVE.with_name("none"))),
    "with the archive": spark.JAVA_OPTIONS,
}


def seconds(options: str) -> tuple[float, float]:
    """Elapsed and CPU seconds of one run; its result is checked."""
    folder = Path(tempfile.mkdtemp(prefix="job-start-"))
    try:
        before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
        spark.run_noted_job(folder, options, folder / "log")
        elapsed, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
        assert "100 rows" in (folder / "log").read_text()
        return elapsed, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    finally:
        shutil.rmtree(folder)


def main() -> None:
    """Run all and print the table."""
    assert not spark.archive_needed(), "run make setup"
    found: dict[str, list[tuple[float, float]]] = {way: [] for way in WAYS}
    for _ in range(ROUNDS):
        for way, options in WAYS.items():
            found[way].append(seconds(options))
    print("| | s | CPU s | of Java alone |\n|---|---|---|---|")
    alone = statistics.median(cpu for _, cpu in found["Java alone"])
    for way, runs in found.items():
        elapsed, cpu = (statistics.median(column) for column in zip(*runs, strict=True))
        print(f"| {way} | {elapsed:.1f} | {cpu:.1f} | {cpu / alone:.2f} |")
    print(f"\nMedians of {ROUNDS} runs each, alternating.")


if __name__ == "__main__":
    main()
