"""The home's executor of Airflow tasks."""

from __future__ import annotations

from dataclasses import dataclass

from airflow.models.taskinstancekey import TaskInstanceKey

from local.engines.airflow_executor import HomeExecutor


@dataclass
class Task:
    """The part of a task instance that the executor reads."""

    key: TaskInstanceKey


def test_a_task_that_is_revoked_gives_its_slot_back() -> None:
    """The worker was killed after it had taken the task and before it started it, so no end is ever reported."""
    executor = HomeExecutor(parallelism=2)
    lost, other = (Task(TaskInstanceKey("dag", task, "run", 1)) for task in ("lost", "other"))
    executor.running |= {lost.key, other.key}
    assert executor.slots_available == 0
    executor.revoke_task(ti=lost)  # type: ignore[arg-type]
    assert executor.running == {other.key}
    assert executor.slots_available == 1
    executor.revoke_task(ti=lost)  # type: ignore[arg-type]
