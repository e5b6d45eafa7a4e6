"""Links and pages through Airflow's real API server, in this process: who may see them, and what they show."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import pages_plugin
import pytest
from airflow.api_fastapi.app import create_app
from airflow.api_fastapi.auth.managers.simple.simple_auth_manager import SimpleAuthManager
from airflow.dag_processing.dagbag import DagBag
from airflow.models.dagrun import DagRun
from fastapi.testclient import TestClient

from tests.dags.runs import REPORT, FakeGlue, land, run
from tests.support.aws_services import Emulator
from tests.support.dag_services import Handler, client_error

pytestmark = [pytest.mark.services, pytest.mark.usefixtures("airflow_db", "lake_services", "no_waiting")]
QUERY = "11111111-2222-3333-4444-555555555555"
PUBLISHED_IN = "s3://results/athena/"


class Console:
    """Two browsers at Airflow's API server, one of which is logged in; not everybody is an administrator here."""

    def __init__(self) -> None:
        application = create_app("core")
        self.stranger, self.user = TestClient(application), TestClient(application)
        [(name, password)] = SimpleAuthManager.get_passwords().items()
        reply = self.user.post("/auth/token", json={"username": name, "password": password})
        self.user.headers["Authorization"] = f"Bearer {reply.json()['access_token']}"

    def link(self, ended: DagRun, task_id: str, name: str) -> str | None:
        path = f"/api/v2/dags/{ended.dag_id}/dagRuns/{ended.run_id}/taskInstances/{task_id}/links"
        reply = self.user.get(path)
        assert reply.status_code == 200, reply.text
        found: str | None = reply.json()["extra_links"][name]
        return found

    def page(self, path: str, status: int = 200) -> str:
        reply = self.user.get(path)
        assert reply.status_code == status, reply.text
        assert "default-src 'none'" in reply.headers["Content-Security-Policy"] or status == 422
        return reply.text


@pytest.fixture(scope="module")
def console(request: pytest.FixtureRequest) -> Console:
    request.getfixturevalue("airflow_db")
    return Console()


class Athena:
    """Athena with one query, in a state that a test changes."""

    def __init__(self, aws_calls: dict[str, Handler]) -> None:
        self.status: dict[str, Any] = {"State": "SUCCEEDED", "SubmissionDateTime": datetime(2026, 11, 30, tzinfo=UTC)}
        self.columns = ["state", "count"]
        self.rows: list[list[str | None]] = [["Utah", "3"], ["<b>Ohio</b>", None]]
        self.more = False
        self.asked: list[int] = []
        aws_calls["athena.StartQueryExecution"] = lambda _: {"QueryExecutionId": QUERY}
        aws_calls["athena.GetQueryExecution"] = self._get
        aws_calls["athena.GetQueryResults"] = self._results

    def _get(self, request: dict[str, Any]) -> dict[str, Any]:
        if request["QueryExecutionId"] != QUERY:
            raise client_error("InvalidRequestException", "GetQueryExecution")
        execution = {"QueryExecutionId": QUERY, "Query": "select '<i>' from states", "Status": self.status}
        location = {"OutputLocation": f"{PUBLISHED_IN}{QUERY}.csv"}
        return {"QueryExecution": {**execution, "ResultConfiguration": location}}

    def _results(self, request: dict[str, Any]) -> dict[str, Any]:
        self.asked.append(request.get("MaxResults", 0))
        rows = [{"Data": [{} if cell is None else {"VarCharValue": cell} for cell in row]} for row in self.rows]
        header = {"Data": [{"VarCharValue": name} for name in self.columns]}
        metadata = {"ColumnInfo": [{"Name": name, "Type": "varchar"} for name in self.columns]}
        result = {"ResultSet": {"Rows": [header, *rows], "ResultSetMetadata": metadata}}
        return {**result, "NextToken": "more"} if self.more else result


@pytest.fixture
def athena(aws_calls: dict[str, Handler]) -> Athena:
    return Athena(aws_calls)


def cells(page: str) -> list[str]:
    """The cells of the page's last table, the result."""
    table = page.split("<h2>Result</h2>")[1].split("<h2>", maxsplit=1)[0]
    return re.findall(r"<t[dh]>(.*?)</t[dh]>", table, re.DOTALL)


class TestQuery:
    TASK = "query_overall_top_streaming_states"

    def test_a_tasks_link_leads_to_the_rows(self, console: Console, athena: Athena, dagbag: DagBag) -> None:
        ended = run(dagbag, "report_film_popularity", month="2026-11")
        link = console.link(ended, self.TASK, "Query Results")
        assert link == f"/lake/query/{QUERY}"
        page = console.page(link)
        null = '<span class="null">null</span>'
        assert cells(page) == ["state", "count", "Utah", "3", "&lt;b&gt;Ohio&lt;/b&gt;", null]
        assert "select &#39;&lt;i&gt;&#39; from states" in page
        assert "Only the first" not in page

    def test_a_big_result_is_cut_and_says_where_all_of_it_is(self, console: Console, athena: Athena) -> None:
        athena.more, athena.rows = True, [["x" * 5000, "1"]]
        page = console.page(f"/lake/query/{QUERY}")
        assert f"Only the first 1 rows are shown. All are in {PUBLISHED_IN}{QUERY}.csv" in page
        assert "x" * 2000 + " ... (5,000 characters)" in page
        assert athena.asked == [501], "the header and 500 rows"

    def test_a_failed_query_says_why(self, console: Console, athena: Athena) -> None:
        athena.status = {"State": "FAILED", "StateChangeReason": "line 1:8: Column 'titel' cannot be resolved"}
        page = console.page(f"/lake/query/{QUERY}")
        assert "Column &#39;titel&#39; cannot be resolved" in page
        assert "<h2>Result</h2>" not in page

    def test_a_running_query_is_looked_at_again(self, console: Console, athena: Athena) -> None:
        athena.status = {"State": "RUNNING"}
        page = console.page(f"/lake/query/{QUERY}")
        assert 'http-equiv="refresh"' in page
        assert athena.asked == []

    def test_a_query_that_athena_does_not_know(self, console: Console, athena: Athena) -> None:
        assert "InvalidRequestException" in console.page(f"/lake/query/{QUERY[:-1]}0", 404)

    def test_a_task_that_has_not_run_has_no_link(
        self,
        console: Console,
        aws_calls: dict[str, Handler],
        lake_services: Emulator,
        dagbag: DagBag,
    ) -> None:
        ended = run(dagbag, "enrich_streaming_films")  # nothing has landed, so all but the first task are skipped
        assert console.link(ended, "count_lines", "Query Results") is None
        assert console.link(ended, "run_job", "AWS Glue Job Run Details") is None


class TestJob:
    def test_a_tasks_link_leads_to_the_jobs_log(
        self,
        console: Console,
        aws_calls: dict[str, Handler],
        lake_services: Emulator,
        dagbag: DagBag,
    ) -> None:
        land(lake_services)
        glue = FakeGlue(aws_calls, lake_services, REPORT)
        glue.state, glue.message = "FAILED", "ValueError: <no such month>"
        ended = run(dagbag, "enrich_streaming_films")
        link = console.link(ended, "run_job", "AWS Glue Job Run Details")
        assert link
        assert re.fullmatch(r"/lake/job/sakila-streams-test-streaming-films/jr_\d", link)
        run_id = link.rpartition("/")[2]
        told = aws_calls["glue.GetJobRun"]
        aws_calls["glue.GetJobRun"] = lambda request: {
            "JobRun": {**told(request)["JobRun"], "LogGroupName": "/aws-glue/jobs"}
        }
        aws_calls["logs.GetLogEvents"] = self.logged(run_id)
        page = console.page(link)
        assert "ValueError: &lt;no such month&gt;" in page
        assert "/aws-glue/jobs/output" in page
        assert "read 3 objects\n&lt;done&gt;" in page
        assert "(nothing yet)" in page, "there is no log of errors"

    @staticmethod
    def logged(run_id: str) -> Handler:
        def events(request: dict[str, Any]) -> dict[str, Any]:
            if request["logGroupName"] != "/aws-glue/jobs/output":
                raise client_error("ResourceNotFoundException", "GetLogEvents")
            assert request["logStreamName"] == run_id
            before = [] if "nextToken" in request else [{"message": "read 3 objects"}, {"message": "<done>"}]
            return {"events": before, "nextBackwardToken": "the beginning"}

        return events

    def test_a_run_that_the_role_may_not_read(self, console: Console, aws_calls: dict[str, Handler]) -> None:
        def denied(_: dict[str, Any]) -> dict[str, Any]:
            raise client_error("AccessDeniedException", "GetJobRun")

        aws_calls["glue.GetJobRun"] = denied
        assert "AccessDeniedException" in console.page("/lake/job/some-job/jr_1", 502)


@pytest.mark.parametrize("path", [f"/lake/query/{QUERY}", "/lake/job/some-job/jr_1"])
def test_a_stranger_is_asked_to_log_in(console: Console, athena: Athena, path: str) -> None:
    assert console.stranger.get(path).status_code == 401
    assert athena.asked == []


@pytest.mark.parametrize(
    "path",
    [
        "/lake/query/..%2f..%2fsecrets",
        "/lake/query/1%27%20or%201=1",
        "/lake/job/some-job/..%2fjr_1",
        "/lake/job/a.b/jr_1",
        "/lake/job/some-job/jr_1%0Ax",
    ],
)
def test_what_is_no_name_of_aws_is_refused_unasked(console: Console, athena: Athena, path: str) -> None:
    assert console.user.get(path).status_code in (404, 422)
    assert athena.asked == []


@pytest.mark.parametrize(
    ("endpoints", "elsewhere"),
    [
        ({"AWS_ENDPOINT_URL_ATHENA": "http://127.0.0.1:14502"}, True),
        ({"AWS_ENDPOINT_URL": "http://localhost:4566"}, True),
        ({"AWS_ENDPOINT_URL_ATHENA": "https://vpce-1.athena.eu-central-1.vpce.amazonaws.com"}, False),
        ({"AWS_ENDPOINT_URL_ATHENA": "https://athena.cn-north-1.amazonaws.com.cn"}, False),
        ({}, False),
    ],
)
def test_on_aws_the_links_stay_the_consoles(
    monkeypatch: pytest.MonkeyPatch, endpoints: dict[str, str], elsewhere: bool
) -> None:
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_ATHENA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in endpoints.items():
        monkeypatch.setenv(name, value)
    assert pages_plugin.has_no_console() is elsewhere
