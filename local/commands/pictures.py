"""`make pictures`: the guides' pictures of Airflow's UI, taken from the running home after `make demo`.

Chromium renders each page without a window. The pictures are not compared by any test: they change with every run.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import httpx

from local.commands.airflow_api import AirflowApi
from local.settings import ROOT, Settings
from local.supervision.control import HomeError

IMAGES = ROOT / "docs" / "images"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
OPTIONS = (
    "--headless",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--virtual-time-budget=15000",  # milliseconds of the page's own time, until its requests are answered
)
SECONDS = 120  # of real time, at most


@dataclass(frozen=True)
class Picture:
    """One picture: its file in docs/images, its page, what the page must show when it is complete, and its size."""

    file: str
    path: str
    shows: str
    width: int
    height: int


def pictures(api: AirflowApi) -> list[Picture]:
    """What there is to see; raises HomeError when the demo has not run in this home."""
    enriched = [run for run in api.runs("enrich_streaming_films") if run["note"]]
    if not enriched:
        raise HomeError("There is nothing to take a picture of: run `make demo` in this home first")
    run = enriched[-1]["dag_run_id"]
    return [
        Picture("airflow-backfill.png", "/dags/rebuild_streaming_films/runs", "backfill__", 1400, 1000),
        Picture("airflow-run-note.png", f"/dags/enrich_streaming_films/runs/{run}", "landed ", 1500, 1000),
    ]


def take(browser: str, url: str, picture: Picture, profile: str) -> None:
    """Take one picture; raises HomeError when the page does not show what it should."""
    sandbox = ["--no-sandbox"] * (os.geteuid() == 0)  # Chromium refuses to run as root otherwise
    command = [browser, *OPTIONS, *sandbox, f"--user-data-dir={profile}"]
    address = f"{url}{picture.path}"

    def run(*options: str) -> str:
        size = f"--window-size={picture.width},{picture.height}"
        done = subprocess.run(
            [*command, size, *options, address], capture_output=True, text=True, timeout=SECONDS, check=False
        )
        if done.returncode:
            raise HomeError(f"{browser} exited with {done.returncode} at {address}:\n{done.stderr[-1000:]}")
        return done.stdout

    if picture.shows not in run("--dump-dom"):
        raise HomeError(f"{address} does not show {picture.shows!r}")
    run(f"--screenshot={IMAGES / picture.file}")


def main(settings: Settings, _: argparse.Namespace) -> int:
    """Take every picture; 0."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        raise HomeError(f"A browser is needed, one of {', '.join(BROWSERS)}: on Debian, apt-get install chromium")
    try:
        api = AirflowApi(settings.airflow_url)
    except httpx.ConnectError as error:
        raise HomeError("The home does not run: run `make demo` first") from error
    with tempfile.TemporaryDirectory(prefix="lake-pictures-") as profile:
        for picture in pictures(api):
            take(browser, api.url, picture, profile)
            print(Path("docs") / "images" / picture.file)
    return 0
