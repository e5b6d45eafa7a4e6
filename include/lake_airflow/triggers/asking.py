"""Wait in Airflow's triggerer for what the Amazon provider has no trigger for."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import AsyncIterator
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent
from asgiref.sync import sync_to_async


class AskingTrigger(BaseTrigger):
    """Asks a question every ``seconds`` until there is an answer, which becomes the event's payload.

    It keeps nothing between two questions, so another triggerer can take it up at any time. ``question`` are the
    arguments of ``ask``; Airflow stores them, so they must be texts, numbers, booleans or None.
    """

    def __init__(self, seconds: float, **question: Any) -> None:
        super().__init__()
        self.seconds = seconds
        self.question = question

    @abstractmethod
    def ask(self, *_: Any, **question: Any) -> Any:
        """The answer, or None as long as there is none. It runs in a thread of its own, so it may block."""

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """The class and the arguments from which Airflow makes this trigger anew."""
        return f"{type(self).__module__}.{type(self).__qualname__}", {"seconds": self.seconds, **self.question}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield one event, the answer."""
        ask = sync_to_async(self.ask, thread_sensitive=False)
        while (answer := await ask(**self.question)) is None:
            await asyncio.sleep(self.seconds)
        yield TriggerEvent(answer)
