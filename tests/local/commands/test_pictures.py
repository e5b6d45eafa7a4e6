"""What `make pictures` takes and refuses, with an API of our own and a browser that only writes what it is given."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any, cast

import pytest

from local.commands import pictures
from local.commands.airflow_api import AirflowApi
from local.settings import Settings
from local.supervision.control import HomeError


class Demo:
    """The API of a home in which the demo has run, or not."""

    def __init__(self, has_run: bool) -> None:
        self.has_run = has_run

    def runs(self, dag_id: str) -> list[dict[str, Any]]:
        """The newest first, of which no enrichment found anything."""
        later = {"dag_run_id": "later", "note": None, "state": "running"}
        first = {"dag_run_id": "first", "note": "landed 3 = ...", "state": "success"}
        return [later, first] if self.has_run else [later]


def test_the_pictures_are_of_runs_that_show_something() -> None:
    taken = pictures.pictures(cast("AirflowApi", Demo(has_run=True)))
    assert [picture.path for picture in taken] == [
        "/dags/rebuild_streaming_films/runs",
        "/dags/enrich_streaming_films/runs/first",
    ]
    assert all((pictures.IMAGES / picture.file).is_file() for picture in taken), "the guides have them"


def test_a_home_without_the_demo_has_nothing_to_show() -> None:
    with pytest.raises(HomeError, match="make demo"):
        pictures.pictures(cast("AirflowApi", Demo(has_run=False)))


def test_a_browser_is_asked_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(HomeError, match="apt-get install chromium"):
        pictures.main(Settings(home=tmp_path, port=20000), cast("Any", None))


@pytest.mark.parametrize(
    ("script", "error"),
    [("echo Loading", "does not show 'rows'"), ("echo broken >&2; exit 3", "exited with 3.*\nbroken")],
)
def test_no_picture_is_taken_of_a_page_that_is_not_complete(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, script: str, error: str
) -> None:
    browser = tmp_path / "browser"
    browser.write_text(f"#!/bin/sh\n{script}\n")
    browser.chmod(browser.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(pictures, "IMAGES", tmp_path)
    picture = pictures.Picture("page.png", "/page", "rows", 100, 100)
    with pytest.raises(HomeError, match=error):
        pictures.take(str(browser), "http://127.0.0.1:1", picture, str(tmp_path))
    assert not (tmp_path / "page.png").exists()
