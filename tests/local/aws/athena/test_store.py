"""Athena's store: history, idempotency tokens, survival of a kill."""

from __future__ import annotations

import json
import sqlite3
import time
from pathlib import Path
from typing import Any

from local.aws.athena.store import HISTORY_SECONDS, Store


def execution(number: int, submitted: float) -> dict[str, Any]:
    return {
        "QueryExecutionId": f"id-{number}",
        "WorkGroup": "w",
        "Status": {"State": "QUEUED", "SubmissionDateTime": submitted},
    }


def test_history_is_ordered_and_bounded(tmp_path: Path) -> None:
    store = Store(tmp_path / "athena.sqlite")
    now = time.time()
    store.add_execution(execution(0, now - HISTORY_SECONDS - 60), None, "")
    for number in range(1, 5):
        store.add_execution(execution(number, now + number), None, "")
    assert store.execution_ids("w", 10, 0) == ["id-4", "id-3", "id-2", "id-1"]
    assert store.execution_ids("w", 2, 1) == ["id-3", "id-2"]
    assert store.execution("id-0") is None
    store.close()


def test_tokens_name_one_execution(tmp_path: Path) -> None:
    store = Store(tmp_path / "athena.sqlite")
    assert store.add_execution(execution(1, time.time()), "token", "a") == ("id-1", "a")
    assert store.add_execution(execution(2, time.time()), "token", "b") == ("id-1", "a")
    assert store.execution("id-2") is None
    store.close()


def test_what_was_kept_survives_without_a_clean_end(tmp_path: Path) -> None:
    store = Store(tmp_path / "athena.sqlite")
    document = execution(1, time.time())
    store.add_execution(document, None, "")
    store.add_named_query({"NamedQueryId": "n", "WorkGroup": "w", "Name": "Q"}, None)
    store.add_prepared({"WorkGroupName": "w", "StatementName": "p", "QueryStatement": "select ?"})
    again = Store(tmp_path / "athena.sqlite")  # the first was never closed, as after a kill
    assert again.unfinished() == [document]
    assert again.named_query("n") == {"NamedQueryId": "n", "WorkGroup": "w", "Name": "Q"}
    assert again.prepared("w", "p") is not None
    document["Status"]["State"] = "FAILED"
    again.save_execution(document, finished=True)
    assert again.unfinished() == []
    assert again.uses_workgroup("w")
    again.delete_workgroup("w")
    assert not again.uses_workgroup("w")
    again.close()
    store.close()
    with sqlite3.connect(tmp_path / "athena.sqlite") as database:
        assert database.execute("select count(*) from executions").fetchone() == (0,)


def test_documents_are_json_of_the_api(tmp_path: Path) -> None:
    store = Store(tmp_path / "athena.sqlite")
    document = execution(1, 1_800_000_000.25)
    store.add_execution(document, None, "")
    assert json.loads(json.dumps(store.execution("id-1"))) == document
    store.close()
