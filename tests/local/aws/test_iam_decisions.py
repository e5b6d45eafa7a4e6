"""The record of IAM's decisions."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from infrastructure.iam.decisions import read as recorded_decisions
from local.aws import iam_decisions as calls
from local.aws.emulator import recording
from local.aws.iam_decisions import Decision, DecisionLog, reduced
from local.settings import ACCOUNT, ROOT
from tests.support.aws_services import LakeServer

JOBS = f"arn:aws:iam::{ACCOUNT}:role/jobs"


def test_a_decision_is_written_once_whichever_session_asked(tmp_path: Path) -> None:
    record = DecisionLog(tmp_path / "iam-decisions.jsonl")
    for session in ("one", "two"):
        arn = f"arn:aws:sts::{ACCOUNT}:assumed-role/jobs/{session}"
        record.note(arn, "s3:GetObject", f"arn:aws:s3:::landing/streaming/2026/11/{session}.json", allowed=True)
    record.note(JOBS, "s3:GetObject", "arn:aws:s3:::landing/streaming/2026/11/three.json", allowed=True)
    record.note(JOBS, "s3:GetObject", "arn:aws:s3:::landing/streaming/2026/11/three.json", allowed=False)
    DecisionLog(tmp_path / "iam-decisions.jsonl").note(
        f"arn:aws:iam::{ACCOUNT}:user/dev", "sqs:SendMessage", "q", allowed=True
    )
    where = "arn:aws:s3:::landing/streaming/2026/*"
    assert list(read(tmp_path / "iam-decisions.jsonl")) == [
        Decision("role/jobs", "s3:GetObject", where, allowed=True),
        Decision("role/jobs", "s3:GetObject", where, allowed=False),
        Decision("user/dev", "sqs:SendMessage", "q", allowed=True),
    ]


@pytest.mark.parametrize(
    ("resource", "expected"),
    [
        ("arn:aws:s3:::b", "arn:aws:s3:::b"),
        ("arn:aws:s3:::b/k", "arn:aws:s3:::b/*"),
        ("arn:aws:s3:::b/f/k", "arn:aws:s3:::b/f/*"),
        ("arn:aws:s3:::b/f/g/k", "arn:aws:s3:::b/f/g/*"),
        ("arn:aws:s3:::b/f/g/h/i/k", "arn:aws:s3:::b/f/g/*"),
        ("arn:aws:glue:us-east-1:123456789012:table/curated/t", "arn:aws:glue:us-east-1:123456789012:table/curated/t"),
        ("*", "*"),
    ],
)
def test_objects_are_reduced_to_their_folder(resource: str, expected: str) -> None:
    assert reduced(resource) == expected


def test_the_record_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "RESOURCES_KEPT", 3)
    record = DecisionLog(tmp_path / "iam-decisions.jsonl")
    for number in range(10):
        record.note(JOBS, "glue:GetTable", f"table/{number}", allowed=True)
    record.note(JOBS, "glue:GetTables", "table/9", allowed=True)
    assert [json.loads(line)["resource"][-1] for line in (tmp_path / "iam-decisions.jsonl").open()] == [
        "0",
        "1",
        "2",
        "9",
    ]


def test_the_wrapped_version_is_the_installed_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pinned = (ROOT / "local/aws/emulator/requirements.in").read_text().split()
    assert f"ministack=={recording.MINISTACK}" in pinned
    monkeypatch.setattr(recording, "version", lambda _: "9.9.9")
    with pytest.raises(RuntimeError, match="9.9.9"):
        recording.record(SimpleNamespace(), DecisionLog(tmp_path / "iam-decisions.jsonl"))


def read(path: Path) -> list[Decision]:
    return [Decision(**one) for one in recorded_decisions([path])]


def decisions(server: LakeServer, role: str) -> set[tuple[str, str, bool]]:
    return {
        (d.action, d.resource, d.allowed) for d in read(server.settings.iam_decisions) if d.principal == f"role/{role}"
    }


@pytest.mark.services
def test_the_emulator_records_what_it_allows_and_denies(lake_server: LakeServer) -> None:
    s3 = lake_server.emulator.client("s3")
    s3.create_bucket(Bucket="recorded")
    grant: dict[str, Any] = {"Effect": "Allow", "Action": ["s3:PutObject", "s3:ListBucket"]}
    role = lake_server.role("recorded", {**grant, "Resource": ["arn:aws:s3:::recorded", "arn:aws:s3:::recorded/a/*"]})
    client = lake_server.session(role).client("s3")
    client.put_object(Bucket="recorded", Key="a/b/c/d", Body=b"x")
    client.list_objects_v2(Bucket="recorded")
    with pytest.raises(ClientError, match="HeadObject|Forbidden"):
        client.head_object(Bucket="recorded", Key="a/b/c/d")
    s3.head_object(Bucket="recorded", Key="a/b/c/d")  # root's
    assert decisions(lake_server, "recorded") == {
        ("s3:PutObject", "arn:aws:s3:::recorded/a/b/*", True),
        ("s3:ListBucket", "arn:aws:s3:::recorded", True),
        ("s3:GetObject", "arn:aws:s3:::recorded/a/b/*", False),
    }
    assert not [one for one in read(lake_server.settings.iam_decisions) if "root" in one.principal]


@pytest.mark.services
def test_our_services_record_what_they_authorise(lake_server: LakeServer) -> None:
    grant = {"Effect": "Allow", "Action": "glue:GetDatabases", "Resource": "*"}
    glue = lake_server.session(lake_server.role("recorded-glue", grant)).client("glue")
    glue.get_databases()
    with pytest.raises(ClientError, match="not authorized to perform: glue:GetTables"):
        glue.get_tables(DatabaseName="none")
    catalog = "arn:aws:glue:us-east-1:123456789012:catalog"
    assert decisions(lake_server, "recorded-glue") == {
        ("glue:GetDatabases", catalog, True),
        ("glue:GetTables", catalog, False),
    }
