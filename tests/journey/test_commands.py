"""What a newcomer types at make while the home runs, without naming its port."""

from __future__ import annotations

import json
import re
import subprocess

import boto3
import pytest

from local.settings import ROOT
from tests.support.own_home import Home

pytestmark = pytest.mark.journey


def make(home: Home, *arguments: str, code: int = 0, typed: str | None = None) -> subprocess.CompletedProcess[str]:
    """`make -s ...` as in a new shell, with ``typed`` at its standard input."""
    variables = {name: value for name, value in home.variables.items() if name != "LAKE_PORT"}
    command = ["make", "-s", *arguments]
    done = subprocess.run(command, cwd=ROOT, env=variables, input=typed, capture_output=True, text=True, check=False)
    assert done.returncode == code, f"{done.stdout}\n{done.stderr}"
    return done


def test_env_names_the_ports_of_the_running_home(home: Home) -> None:
    assert f"export AWS_ENDPOINT_URL_ATHENA={home.settings.server_url}\n" in make(home, "env").stdout


def test_sql_prints_rows_bytes_and_dollars(home: Home) -> None:
    typed = "select count(*) as \"the films\", '$5' as price from film_category where title <> 'it''s'"
    for done in (make(home, "sql", f"Q={typed}"), make(home, "sql", typed=typed)):
        head, _, row, count, cost = (line for line in done.stdout.splitlines() if line.strip())
        assert head.split() == ["the", "films", "price"]
        assert row.split() == ["1000", "$5"]
        assert count == "1 row"
        assert re.fullmatch(r"[1-9][\d,]* bytes scanned, [\d.]+ s, 0\.00005 dollars on AWS", cost)


def test_an_error_of_sql_has_its_position(home: Home) -> None:
    done = make(home, "sql", "Q=select titel from film_category", code=2)
    assert "line 1:8: Column 'titel' cannot be resolved" in done.stderr


def test_airflow_is_the_homes_own(home: Home) -> None:
    listed = json.loads(make(home, "airflow", "ARGS=dags list --output json").stdout)
    assert {path.stem for path in (ROOT / "dags").glob("*.py")} == {dag["dag_id"] for dag in listed}
    assert "invalid choice: 'fly'" in make(home, "airflow", "ARGS=dags fly", code=2).stderr


def test_the_reports_are_where_the_demo_says(home: Home, session: boto3.Session) -> None:
    place = re.search(r"Reports +s3://([^/]+)/(\S+)", home.printed)
    assert place
    assert session.client("s3").list_objects_v2(Bucket=place[1], Prefix=place[2])["KeyCount"] > 0
