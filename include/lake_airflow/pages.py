"""Pages of Airflow's UI where AWS's console knows nothing of the lake: an Athena query's result, a Glue run's log.

Only the API server imports this module, when a page is asked for (``plugins/pages_plugin.py``). It reads under its own
role, the DAGs' (``AWS_...`` of its environment). What is shown is text: Jinja escapes it, and no script may run.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import boto3
from airflow.api_fastapi.core_api.security import requires_authenticated
from botocore.exceptions import BotoCoreError, ClientError
from fastapi import Depends, FastAPI, Path, Request
from fastapi.responses import HTMLResponse
from jinja2 import DictLoader, Environment, StrictUndefined

from lake_airflow import job_logs

ROWS = 500
CELL = 2000  # characters
LINES = 1000  # of each log group
UNFINISHED = ("QUEUED", "RUNNING", "STARTING", "WAITING", "STOPPING")

QueryId = Annotated[str, Path(pattern="^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")]  # Athena's are UUIDs
JobName = Annotated[str, Path(pattern="^[A-Za-z0-9_-]{1,255}$")]
JobRunId = Annotated[str, Path(pattern="^jr_[0-9a-f]{1,64}(_attempt_[0-9]{1,3})?$")]

_FRAME = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
{% if unfinished %}<meta http-equiv="refresh" content="5">{% endif %}
<title>{{ title }}</title>
<style>
:root { color-scheme: light dark }
body { font: 15px system-ui, sans-serif; margin: 24px }
h1 { font-size: 20px } h2 { font-size: 16px }
table { border-collapse: collapse }
th, td { border-bottom: 1px solid #8886; padding: 4px 14px 4px 0; text-align: left; vertical-align: top }
pre { background: #8882; border-radius: 6px; overflow-x: auto; padding: 12px }
.null { opacity: .5 }
</style>
<h1>{{ title }}</h1>
<table>
{% for name, value in facts.items() if value %}<tr><th>{{ name }}</th><td>{{ value }}</td></tr>
{% endfor %}</table>
{% if unfinished %}<p>It has not ended: this page is loaded again every five seconds.</p>{% endif %}
{% block body %}{% endblock %}
</html>
"""
_QUERY = """{% extends "frame" %}{% block body %}
{% if rows is not none %}
<h2>Result</h2>
{% if cut %}<p>Only the first {{ rows | length }} rows are shown. All are in {{ location }}</p>{% endif %}
<table>
<tr>{% for name in columns %}<th>{{ name }}</th>{% endfor %}</tr>
{% for row in rows %}<tr>{% for cell in row %}<td>
{%- if cell is none %}<span class="null">null</span>{% else %}{{ cell }}{% endif -%}
</td>{% endfor %}</tr>
{% endfor %}</table>
{% if not rows %}<p>The result has no rows.</p>{% endif %}
{% endif %}
<h2>Statement</h2>
<pre>{{ sql }}</pre>
{% endblock %}
"""
_JOB = """{% extends "frame" %}{% block body %}
{% for heading, lines in logs.items() %}
<h2>{{ heading }}</h2>
<pre>{{ lines | join("\\n") }}</pre>
{% endfor %}
{% endblock %}
"""
_templates = Environment(
    loader=DictLoader({"frame": _FRAME, "query": _QUERY, "job": _JOB}), autoescape=True, undefined=StrictUndefined
)

# A plugin's pages are open to everybody unless they ask for a login themselves.
app = FastAPI(dependencies=[Depends(requires_authenticated())], docs_url=None, redoc_url=None, openapi_url=None)


def _page(template: str, status: int = 200, **values: Any) -> HTMLResponse:
    headers = {
        "Cache-Control": "no-store",
        "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'self'",
        "X-Content-Type-Options": "nosniff",
    }
    return HTMLResponse(_templates.get_template(template).render(**values), status, headers)


@app.exception_handler(ClientError)
@app.exception_handler(BotoCoreError)
def no_answer(_: Request, error: Exception) -> HTMLResponse:
    """AWS's own words: what is asked for does not exist, the role may not read it, or the service does not answer."""
    code = error.response["Error"]["Code"] if isinstance(error, ClientError) else ""
    missing = code in ("InvalidRequestException", "EntityNotFoundException", "ResourceNotFoundException")
    facts = {"Reason": str(error)}
    return _page("frame", 404 if missing else 502, title="Nothing to show", facts=facts, unfinished=False)


@app.get("/query/{query_id}")
def query(query_id: QueryId) -> HTMLResponse:
    """A query of Athena: its state, its statement and, when it has succeeded, the first rows of its result."""
    athena = boto3.client("athena")
    execution: Any = athena.get_query_execution(QueryExecutionId=query_id)["QueryExecution"]
    status, statistics = execution["Status"], execution.get("Statistics", {})
    columns, rows, cut = [], None, False
    if status["State"] == "SUCCEEDED":
        # Also where the engine's result is not a table, this gives rows; they hold the column names only for SELECT.
        result: Any = athena.get_query_results(QueryExecutionId=query_id, MaxResults=ROWS + 1)
        columns = [column["Name"] for column in result["ResultSet"]["ResultSetMetadata"]["ColumnInfo"]]
        rows = [[_cell(cell.get("VarCharValue")) for cell in row["Data"]] for row in result["ResultSet"]["Rows"]]
        rows, cut = rows[1:] if rows[:1] == [columns] else rows, "NextToken" in result
    facts = {
        "State": status["State"],
        "Reason": status.get("StateChangeReason"),
        "Started": _moment(status.get("SubmissionDateTime")),
        "Took": f"{statistics.get('TotalExecutionTimeInMillis', 0) / 1000:,.1f} s",
        "Read": f"{statistics.get('DataScannedInBytes', 0):,} bytes",
        "Workgroup": execution.get("WorkGroup"),
    }
    return _page(
        "query",
        title=f"Query {query_id}",
        facts=facts,
        unfinished=status["State"] in UNFINISHED,
        columns=columns,
        rows=rows,
        cut=cut,
        location=execution.get("ResultConfiguration", {}).get("OutputLocation"),
        sql=execution.get("Query", ""),
    )


@app.get("/job/{name}/{run_id}")
def job(name: JobName, run_id: JobRunId) -> HTMLResponse:
    """A run of a Glue job: its state, its error and the last lines of its two logs, also while it runs."""
    run: Any = boto3.client("glue").get_job_run(JobName=name, RunId=run_id)["JobRun"]
    facts = {
        "Job": name,
        "State": run["JobRunState"],
        "Error": run.get("ErrorMessage"),
        "Started": _moment(run.get("StartedOn")),
        "Took": f"{run.get('ExecutionTime', 0):,} s",
    }
    logs = {group: _last_lines(group, run["Id"]) for group in job_logs.groups(run)}
    return _page("job", title=f"Run {run_id}", facts=facts, unfinished=run["JobRunState"] in UNFINISHED, logs=logs)


def _last_lines(group: str, stream: str) -> list[str]:
    logs = boto3.client("logs")
    try:
        lines = job_logs.tail(logs, group, stream, LINES)
    except logs.exceptions.ResourceNotFoundException:
        return ["(nothing yet)"]
    except (ClientError, BotoCoreError) as error:  # what is known of the run is shown without its log
        return [f"(cannot be read: {error})"]
    return [f"(the last {LINES} lines)"] * (len(lines) == LINES) + lines


def _cell(text: str | None) -> str | None:
    return f"{text[:CELL]} ... ({len(text):,} characters)" if text and len(text) > CELL else text


def _moment(time: datetime | None) -> str:
    return f"{time:%F %T %Z}" if time else ""
