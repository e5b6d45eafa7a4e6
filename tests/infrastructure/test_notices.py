"""Airflow's role publishes its notices to the alarm topic, and nobody hears of a failure without that right."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from lake_airflow import notices
from local.engines.waiting import wait_until
from local.settings import ACCOUNT, ENVIRONMENT, REGION, SUFFIX
from tests.support.alarm_listener import AlarmListener
from tests.support.lake_home import LAKE, LakeHome

pytestmark = [pytest.mark.services, pytest.mark.in_order]


def tell(task_id: str) -> None:
    ti = SimpleNamespace(
        dag_id="a_dag", run_id="r", task_id=task_id, try_number=3, log_url="-", xcom_push=lambda **_: None
    )
    run = SimpleNamespace(partition_key=None)
    context: Any = {"ti": ti, "dag_run": run, "params": {}, "exception": RuntimeError("why")}
    notices.tell_failure(context)


@pytest.fixture
def airflow_role(home: LakeHome, outputs: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment of Airflow's processes: its role's credentials, and the home's endpoints."""
    session: Any = home.server.session(f"arn:aws:iam::{ACCOUNT}:role/{LAKE.role('airflow')}")
    keys = session.get_credentials().get_frozen_credentials()
    for name, value in {
        "AWS_ACCESS_KEY_ID": keys.access_key,
        "AWS_SECRET_ACCESS_KEY": keys.secret_key,
        "AWS_SESSION_TOKEN": keys.token,
        "AWS_REGION": REGION,
        "AWS_ENDPOINT_URL": home.settings.emulator_url,
        "LAKE_ENVIRONMENT": ENVIRONMENT,
        "LAKE_SUFFIX": SUFFIX,
    }.items():
        monkeypatch.setenv(name, value)


@pytest.mark.usefixtures("airflow_role")
def test_a_notice_reaches_who_is_subscribed(home: LakeHome, outputs: dict[str, str]) -> None:
    listener = AlarmListener(home.clients("sns"), home.clients("sqs"), outputs["AlarmTopic"])
    tell("a_task")
    (heard,) = listener.hear(1)
    assert heard["Subject"] == f"{LAKE.stack}: a_dag has failed in a_task"
    assert "Task: a_task, try 3\nReason: why\n" in heard["Message"]


@pytest.mark.usefixtures("airflow_role")
def test_without_its_right_nobody_hears(home: LakeHome) -> None:
    def is_denied() -> bool:
        try:
            tell("another_task")
        except ClientError as error:
            return "not authorized to perform: sns:Publish" in str(error)
        return False

    with home.without("airflow", "sns:Publish"):
        wait_until(is_denied, 60, "IAM did not decide anew")
