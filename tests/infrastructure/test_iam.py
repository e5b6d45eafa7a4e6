"""Least privilege: every grant of the template was used by a recorded call or has a reason, and none is there twice."""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pytest

from infrastructure.cfn.template import Json, parse_template
from infrastructure.iam import document, grants, unproven_grants, used_grants
from infrastructure.iam.grants import Grant, Statement, statements
from infrastructure.package import render_template
from local.settings import TOOLS

# Service Authorization Reference: the actions without a resource type; DescribeAlarms has one, but listing an account's
# alarms requires it on all of them
NO_RESOURCE = {
    "athena:ListDataCatalogs",
    "athena:ListEngineVersions",
    "athena:ListWorkGroups",
    "cloudwatch:DescribeAlarms",
    "cloudwatch:GetMetricData",
    "cloudwatch:ListMetrics",
    "cloudwatch:PutMetricData",
    "dms:DescribeConnections",
    "dms:DescribeEndpoints",
    "dms:DescribeReplicationInstances",
    "dms:DescribeReplicationTasks",
    "glue:GetCrawlerMetrics",
    "logs:DescribeLogGroups",
    "s3:GetAccountPublicAccessBlock",
}


@pytest.fixture(scope="module")
def template() -> Json:
    return parse_template(render_template())


@pytest.fixture(scope="module")
def stated(template: Json) -> list[Statement]:
    return statements(template)


@pytest.fixture(scope="module")
def granted(template: Json) -> set[Grant]:
    return grants.granted(template)


def test_every_grant_is_used_or_unproven_with_a_reason(granted: set[Grant]) -> None:
    proven = {use.grant for use in used_grants.read()}
    groups = unproven_grants.read()
    listed = [grant for group in groups for grant in group.grants]
    assert [one for one, times in Counter(listed).items() if times > 1] == []
    assert all(len(group.reason) > 20 for group in groups)
    assert sorted(granted - proven - set(listed)) == [], "granted, but neither used nor listed with a reason"
    assert sorted(proven - granted) == [], "used, but not granted"
    assert sorted(set(listed) - granted) == [], "listed as unproven, but not granted"
    assert sorted(set(listed) & proven) == [], "listed as unproven, but used"


def test_no_role_has_a_grant_twice(stated: list[Statement]) -> None:
    found = Counter(grant for statement in stated for grant in statement.grants)
    assert [str(grant) for grant, times in found.items() if times > 1] == []


def test_no_wildcard_in_an_action_and_none_for_a_resource_that_could_be_named(granted: set[Grant]) -> None:
    assert [str(grant) for grant in granted if set("*?") & set(grant.action)] == []
    assert {grant.action for grant in granted if grant.resource == "*"} <= NO_RESOURCE
    assert [str(g) for g in granted if g.action in NO_RESOURCE and g.resource != "*"] == []


def test_without_any_one_used_grant_a_recorded_call_is_denied(
    stated: list[Statement], capsys: pytest.CaptureFixture[str]
) -> None:
    """The emulator's own IAM decides about the calls that it recorded."""
    uses = used_grants.read()
    roles = {use.grant.role for use in uses}
    asked = {
        key: sorted({(use.grant.action, use.call) for use in uses if (use.grant.role, use.grant.action) == key})
        for key in {(use.grant.role, use.grant.action) for use in uses}
    }
    whole = [(_policy(stated, role), [q for key, qs in asked.items() if key[0] == role for q in qs]) for role in roles]
    assert all(all(answers) for answers in decided(whole)), "the template denies a call that was recorded"
    without = [(_policy(stated, u.grant.role, u.grant), asked[u.grant.role, u.grant.action]) for u in uses]
    survivors = [use.grant for use, answers in zip(uses, decided(without), strict=True) if all(answers)]
    enforced = len(uses) + sum(len(group.grants) for group in unproven_grants.read() if group.enforced)
    share = (len(uses) - len(survivors)) / enforced
    with capsys.disabled():
        print(  # noqa: T201
            f"\n{len(uses)} grants taken away one at a time: a call was denied for {len(uses) - len(survivors)}, "
            f"which are {share:.1%} of the {enforced} that the home enforces"
        )
    assert survivors == []
    assert share >= 0.95


def _policy(stated: Iterable[Statement], role: str, without: Grant | None = None) -> list[Json]:
    """The statements of a role, less one action on one resource, in the emulator's form."""
    return [
        {"Effect": "Allow", "Action": [g.action], "Resource": [g.resource], "Condition": statement.condition}
        for statement in stated
        for g in statement.grants
        if g.role == role and g != without and (without is None or g.action == without.action)
    ]


def decided(cases: list[tuple[list[Json], list[tuple[str, str]]]]) -> list[list[bool]]:
    """The decisions of the emulator's IAM for each case."""
    done = subprocess.run(
        [TOOLS / "emulator/bin/python", Path(__file__).with_name("decide.py")],
        input=json.dumps(cases),
        capture_output=True,
        text=True,
        check=True,
    )
    answers: list[list[bool]] = json.loads(done.stdout)
    return answers


def test_the_document_is_fresh(granted: set[Grant]) -> None:
    assert document.TARGET.read_text() == document.render(granted, used_grants.read(), unproven_grants.read()), (
        "run: make docs"
    )
