"""Airflow's LocalExecutor, made to survive the death of a worker at any moment."""

from __future__ import annotations

from airflow.executors.local_executor import LocalExecutor
from airflow.models.taskinstance import TaskInstance
from typing_extensions import override


class HomeExecutor(LocalExecutor):
    """A task whose worker was killed after taking it and before starting it is queued again.

    Such a task stays ``queued``. After ``[scheduler] task_queued_timeout`` the scheduler has the executor revoke it and
    queues it again, but LocalExecutor (Airflow 3.3.2) does not implement that, and the task would wait for ever. Should
    a worker have it after all, the API server refuses the second start of the same try.
    """

    @override
    def revoke_task(self, *, ti: TaskInstance) -> None:
        """Forget the task."""
        self.queued_tasks.pop(ti.key, None)
        self.running.discard(ti.key)
