from __future__ import annotations

import pytest
from airflow.sdk.definitions.retry_policy import RetryAction

from lake_airflow.defaults import FailFast, poll_attempts, poll_seconds


def test_polling_is_the_providers_unless_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LAKE_POLL_SECONDS", raising=False)
    assert poll_seconds(60) == 60
    monkeypatch.setenv("LAKE_POLL_SECONDS", "1")
    assert poll_seconds(60) == 1


def test_attempts_last_as_long_as_a_task_may() -> None:
    """With the provider's 75 attempts a job of 76 seconds would fail when one looks every second."""
    assert (poll_attempts(1), poll_attempts(60)) == (3600, 60)


@pytest.mark.parametrize(
    ("message", "action"),
    [
        ("Final state of Athena job is CANCELLED. Error: Bytes scanned limit was exceeded", RetryAction.FAIL),
        ("Final state of Athena job is CANCELLED. Error: Query cancelled by user", RetryAction.DEFAULT),
        ("Could not connect to the endpoint", RetryAction.DEFAULT),
    ],
)
def test_only_what_cannot_get_better_is_not_tried_again(message: str, action: RetryAction) -> None:
    assert FailFast().evaluate(RuntimeError(message), 1, 2).action == action
