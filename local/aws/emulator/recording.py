"""Starts the emulator with a record of what its IAM decides.

``python -m local.aws.emulator.recording FILE``, in the emulator's own Python environment; FILE is the record.

ministack decides in ``iam_evaluator.enforce``, which every service looks up when it is called, and asks
``iam_evaluator.evaluate`` with the caller that it has found. Both are wrapped; neither decides otherwise than before.
"""

from __future__ import annotations

import sys
from contextvars import ContextVar
from importlib.metadata import version
from pathlib import Path
from typing import Any

from local.aws.iam_decisions import Calls

MINISTACK = "1.5.33"  # read and wrapped at this version; another one is to be read again


def record(evaluator: Any, calls: Calls) -> None:
    """Have ``evaluator``, ministack's module, note each decision about a caller whom policies bind."""
    if version("ministack") != MINISTACK:
        raise RuntimeError(f"ministack {version('ministack')}: its IAM is wrapped at {MINISTACK} only")
    enforce, evaluate = evaluator.enforce, evaluator.evaluate
    asked: ContextVar[Any] = ContextVar("asked", default=None)

    def noting_who_asks(context: Any, *policies: Any) -> Any:
        asked.set(context)
        return evaluate(context, *policies)

    def recorded(
        access_key: str, action: str, service: str, region: str, resource_arn: str = "*", service_context: Any = None
    ) -> Any:
        asked.set(None)
        denial = enforce(access_key, action, service, region, resource_arn, service_context)
        if context := asked.get():  # neither root nor a caller without a valid signature
            calls.note(context.principal_arn, action, resource_arn, denial is None)
        return denial

    evaluator.evaluate, evaluator.enforce = noting_who_asks, recorded


def main() -> None:
    """Serve as ``ministack`` does."""
    from ministack.app import main as serve  # noqa: PLC0415
    from ministack.core import iam_evaluator  # noqa: PLC0415

    record(iam_evaluator, Calls(Path(sys.argv.pop())))  # ministack reads the rest of the command line itself
    serve()


if __name__ == "__main__":
    main()
