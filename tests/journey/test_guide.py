"""Runs the commands of docs/deploy.md that are marked `local`, in their order, in one shell."""

from __future__ import annotations

import subprocess

import boto3
import pytest

from local.settings import ROOT
from tests.docs.guides import Guide
from tests.journey.test_film_journey import query
from tests.support.own_home import Home

pytestmark = pytest.mark.journey
STEPS = [fence for fence in Guide(ROOT / "docs" / "deploy.md").fences if fence.info == "bash local"]
SECONDS = 900


@pytest.fixture(scope="module")
def printed(home: Home) -> str:
    """The shell's output, after all commands have succeeded."""
    script = "\n".join(("set -euo pipefail", *(f"echo == docs/deploy.md:{step.line}\n{step.text}" for step in STEPS)))
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=ROOT, env={**home.variables, "YES": "1"}, capture_output=True, text=True, timeout=SECONDS, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    return done.stdout


def test_the_guides_own_steps_end_in_the_first_query(home: Home, printed: str, session: boto3.Session) -> None:
    sent = (home.settings.home / "ledgers" / "first.ids").read_text().split()
    assert len(sent) == 600
    found = {str(row[0]) for row in query(session, "select event_id from streaming_films")}
    assert set(sent) <= found, "events of step 9 are not in the table"
    top = query(session, "select category_name, count(*) from streaming_films group by 1 order by 2 desc limit 1")[0]
    assert any(line.split()[1:] == [str(top[0]), str(top[1])] for line in printed.splitlines()), printed[-2000:]
    rows = query(session, "select count(*) from streaming_films")
    assert int(rows[0][0] or 0) == len(found), "an event is there twice"


def test_every_step_that_runs_here_is_marked() -> None:
    """The guide says *also here* at the blocks that run locally, and the last one is a query."""
    text = (ROOT / "docs" / "deploy.md").read_text()
    assert len(STEPS) >= 8
    assert "read_sql_query" in STEPS[-1].text
    assert text.lower().replace("*also\nhere*", "*also here*").count("*also here*") >= len(STEPS) - 2
