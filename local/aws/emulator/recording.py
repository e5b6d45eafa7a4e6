"""Starts the emulator with a record of what its IAM decides.

``python -m local.aws.emulator.recording FILE``, in the emulator's own Python environment; FILE is the record.

ministack decides in ``iam_evaluator.enforce``, which every service calls, and which calls ``iam_evaluator.evaluate``
with the caller that it has found. Both are wrapped to record their decisions, which stay the same.
"""

from __future__ import annotations

import sys
from contextvars import ContextVar
from importlib.metadata import version
from pathlib import Path
from typing import Any

from local.aws.iam_decisions import DecisionLog

MINISTACK = "1.5.33"  # the version whose code was read; read it again before wrapping another


def record(evaluator: Any, decision_log: DecisionLog) -> None:
    """Make ``evaluator``, ministack's module, record each decision about a caller to whom policies apply."""
    if version("ministack") != MINISTACK:
        raise RuntimeError(f"ministack {version('ministack')}: its IAM can be wrapped in {MINISTACK} only")
    enforce, evaluate = evaluator.enforce, evaluator.evaluate
    asked: ContextVar[Any] = ContextVar("asked", default=None)

    def evaluate_and_note_caller(context: Any, *policies: Any) -> Any:
        asked.set(context)
        return evaluate(context, *policies)

    def enforce_and_record(
        access_key: str, action: str, service: str, region: str, resource_arn: str = "*", service_context: Any = None
    ) -> Any:
        asked.set(None)
        denial = enforce(access_key, action, service, region, resource_arn, service_context)
        if context := asked.get():  # neither root nor a caller without a valid signature
            decision_log.note(context.principal_arn, action, resource_arn, denial is None)
        return denial

    evaluator.evaluate, evaluator.enforce = evaluate_and_note_caller, enforce_and_record


def main() -> None:
    """Serve as ``ministack`` does."""
    from ministack.app import main as serve  # noqa: PLC0415
    from ministack.core import iam_evaluator  # noqa: PLC0415

    record(iam_evaluator, DecisionLog(Path(sys.argv.pop())))  # ministack reads the rest of the command line itself
    serve()


if __name__ == "__main__":
    main()
