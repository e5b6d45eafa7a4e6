"""Commands, paths, names and links in guides exist. The last tests check that a mistake of each kind is found."""

from __future__ import annotations

import json
import re

import pytest

from datalake.tables import FILM_CATEGORY, LANDED_EVENTS, QUARANTINE, RECONCILIATION, SAKILA, STREAMING_FILMS
from infrastructure import guide_tables
from local.settings import ROOT
from tests.docs import commands, known, spans
from tests.docs.guides import GUIDES, Guide

TABLES = {f"{one.database}.{one.name}" for one in
          [*SAKILA.values(), LANDED_EVENTS, FILM_CATEGORY, STREAMING_FILMS, QUARANTINE, RECONCILIATION]}  # fmt: skip
ALARMS = ("AWS::CloudWatch::Alarm", "AWS::CloudWatch::CompositeAlarm", "AWS::Events::Rule")
SHELL = ("bash", "sh", "shell", "console")
# Languages of blocks that are not checked: a program's output, and pictures.
SHOWN = ("text", "mermaid")


@pytest.fixture(params=GUIDES, ids=lambda path: path.name)
def guide(request: pytest.FixtureRequest) -> Guide:
    return Guide(request.param)


def test_every_command_could_be_typed(guide: Guide) -> None:
    assert in_fences(guide) == []


def test_every_name_exists(guide: Guide) -> None:
    if guide.path.name not in ("DAGS.md", "iam.md"):  # generated from the DAGs and the template
        assert in_spans(guide) == []


def test_every_link_leads_somewhere(guide: Guide) -> None:
    assert in_links(guide) == []


def in_fences(guide: Guide) -> list[str]:
    found: list[str] = []
    variables: set[str] = set()
    for fence in guide.fences:
        language = fence.info.partition(" ")[0]
        if language in SHELL:
            wrong = list(commands.problems(fence.text, variables))
        elif language == "sql":
            named = re.findall(r"\b((?:sakila|landing|curated)\.\w+)", fence.text)
            wrong = [f"there is no table {one}" for one in named if one not in TABLES]
        elif language == "json":
            wrong = list(_unreadable(fence.text))
        elif language == "python":
            wrong = list(_no_python(fence.text))
        else:
            wrong = [] if language in SHOWN else [f"a block of {language or 'no language'}"]
        found += [f"{guide.path.name}:{fence.line} {one}" for one in wrong]
    return found


def in_spans(guide: Guide) -> list[str]:
    return [f"{guide.path.name}:{s.line} {one}" for s in guide.spans for one in spans.problems(s.text, guide.path)]


def in_links(guide: Guide) -> list[str]:
    found = []
    for link in guide.links:
        target, _, anchor = link.text.partition("#")
        if re.match(r"https?:", target):
            continue
        place = (guide.path.parent / target).resolve() if target else guide.path
        relative = str(place.relative_to(ROOT)) if place.is_relative_to(ROOT) else "?"
        if not {relative, f"{relative}/"} & known.files():
            found.append(f"{guide.path.name}:{link.line} there is no {link.text}")
        elif anchor and anchor not in (guide if place == guide.path else Guide(place)).anchors:
            found.append(f"{guide.path.name}:{link.line} {target or 'this guide'} has no section {anchor}")
    return found


def _unreadable(text: str) -> list[str]:
    try:
        json.loads(text)
    except ValueError as error:
        return [f"no JSON: {error}"]
    return []


def _no_python(text: str) -> list[str]:
    try:
        compile(text, "guide", "exec")
    except SyntaxError as error:
        return [f"no Python: {error}"]
    return []


def test_the_tables_of_the_template_are_up_to_date() -> None:
    assert guide_tables.TARGET.read_text() == guide_tables.render(guide_tables.TARGET.read_text()), "run `make docs`"


def test_every_alarm_has_a_section_that_says_what_to_do() -> None:
    """Each alarm's description names its section; the guide's table lists exactly the alarms and their sections."""
    guide = Guide(ROOT / "docs" / "operations.md")
    told = {}
    for logical, resource in known.template()["Resources"].items():
        if resource["Type"] in ALARMS:
            properties = resource["Properties"]
            text = properties.get("AlarmDescription") or properties["Description"]
            section = re.search(r'docs/operations\.md, "([^"]+)", says what to do\.', text)
            assert section, f"{logical} does not say where to read on"
            name = json.dumps(properties.get("AlarmName") or properties["Name"])
            told[re.search(r"\$\{Environment\}-([a-z-]+)", name)[1]] = section[1]  # type: ignore[index]
    listed = {row[0].strip("`"): re.match(r"\[(.+)\]", row[2])[1] for row in guide.table("Alarms")[1:]}  # type: ignore[index]
    assert listed == told
    for name, section in told.items():
        assert f"`{name}`" in guide.section(section), f'"{section}" does not name {name}'


@pytest.mark.parametrize(
    "mistake",
    [
        "make upp",
        "make stream RATTE=3",
        "make stream --fast",
        "python -m oracel --month 2026-11",
        "python -m oracle --mouth 2026-11",
        "python -m infrastructure.deploy --environment nowhere",
        "python -m local upp",
        "python -m pytest -m servces",
        'python -c "import ("',
        "airflow backfill creat --dag-id rebuild_streaming_films --from-date 2026-08-01 --to-date 2026-10-31",
        "airflow dags trigger load_sakilla",
        'make airflow ARGS="dags trigger load_sakilla"',
        "make airflow Q=x",
        "make sql ARGS=x",
        "aws mwaa invoke-rest-api --name x --method POST --path /backfill --body {}",
        """aws mwaa invoke-rest-api --name x --method POST --path /backfills --body '{"dag_id": "x"}'""",
        "aws athenaa list-named-queries",
        "aws athena list-named-querys",
        "aws athena list-named-queries --workgroup x",
        "aws sns subscribe --protocol email",
        "aws rds wait db-instance-ready",
        "aws cloudformation describe-stacks --query 'Stacks[0].Output'",
        "aws cloudformation describe-stacks --query \"Stacks[0].Outputs[?OutputKey=='AlarmTopics'].OutputValue\"",
        "aws firehose describe-delivery-stream --delivery-stream-name sakila-streams-dev-event",
        'curl "$AIRFLOW_URL/api/v2/dag/load_sakila"',
        'curl -X PUT "$AIRFLOW_URL/api/v2/dags/load_sakila"',
        'curl "$AIRFLOW_URL/api/v2/dags/load_sakilla"',
        "docker compse up",
        "docker compose upp",
        "docker compose up --waits",
        "docker compose logs serverr",
        "docker compose cp serverr:/lake/secrets .",
        "docker compose exec server python -m local upp",
        "LAKE_HOMES=/tmp make up",
        'echo "$LAKE_HOMES"',
        "export LAKE_HOMES=/tmp",
        "magic wand",
        ".local/tools/airflow/bin/magic wand",
        "pip install -r requirement.txt",
        "python -m infrastructure.packages",
        'make "up',
    ],
)
def test_a_command_that_cannot_be_typed_is_found(mistake: str) -> None:
    guide = Guide(ROOT / "docs" / "planted.md", f"```bash\n{mistake}\n```\n")
    assert in_fences(guide) != []


@pytest.mark.parametrize(
    "mistake",
    [
        "include/datalake/table.py",
        "docs/operation.md",
        "stremaing/yyyy/MM/",
        "s3://<landed bucket>/repairs/",
        "s3://$LAKE_LANDED_BUCKET/repairs/",
        "s3://<landing bucket>/repair/",
        "MySqlInstanceKlass",
        "AlarmTopics",
        "LAKE_HOMES",
        "load_sakilla",
        "curated.streaming_film",
        "Overall-Top-Streaming-Category",
        "csv-dead-letter",
        "sakila-streams-<environment>-event-silent",
        "sakila-streams-dev-landings-123456789012",
        "iam:SimulatePrincipalPolicies",
        "PutRecordBatches",
        "--mysql-cas",
        "AIRFLOW__CORE__DAG_FOLDER",
        "LAKES_*",
        "s3:Lists*",
        "..._KWORGS",
        "make upp",
        "/aws/lambdas/<name>",
        "$LAKE_HOME/ledgerz/live.ids",
    ],
)
def test_a_name_of_nothing_is_found(mistake: str) -> None:
    assert in_spans(Guide(ROOT / "docs" / "planted.md", f"`{mistake}`\n")) != []


@pytest.mark.parametrize(
    "mistake",
    [
        "[x](operation.md)",
        "[x](operations.md#dead-letter)",
        "[x](../includes)",
        "![x](images/none.png)",
        "[x](#nowhere)",
    ],
)
def test_a_link_to_nothing_is_found(mistake: str) -> None:
    assert in_links(Guide(ROOT / "docs" / "planted.md", f"{mistake}\n")) != []


@pytest.mark.parametrize(
    "mistake",
    [
        "```sql\nselect 1 from curated.streaming_film\n```",
        '```json\n{"a": }\n```',
        "```python\nimport (\n```",
        "```\nmake up\n```",
    ],
)
def test_a_wrong_block_is_found(mistake: str) -> None:
    assert in_fences(Guide(ROOT / "docs" / "planted.md", f"{mistake}\n")) != []
