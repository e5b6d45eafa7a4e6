"""The note of a DAG run in the UI: tasks give the texts, and ``plugins/run_note_plugin.py`` puts them there.

This module imports only the standard library, as every part of Airflow loads the plugin.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

NOTE_KEY = "run_note"  # the XCom that holds the text
NOTE_LENGTH = 1000  # characters that Airflow keeps


def give_note(ti: Any, text: str) -> None:
    """Put ``text`` into the run's note, also if the task fails afterwards. ``ti`` is the running task's instance."""
    ti.xcom_push(key=NOTE_KEY, value=text)


def asked_for(partition_key: str | None, conf: Mapping[str, Any] | None) -> str:
    """The month or other partition of a run, and the parameters that somebody gave it; empty for a scheduled run.

    Airflow's lists of runs show neither, but they show the note.
    """
    given = {"partition": partition_key, **(conf or {})}
    return ", ".join(f"{name}: {value}" for name, value in given.items() if value is not None)


def compose(texts: Iterable[str]) -> str:
    """One note from several texts, without the empty ones, cut to the length that Airflow keeps."""
    note = "\n\n".join(text for text in texts if text).replace("\0", "")
    return note if len(note) <= NOTE_LENGTH else note[: NOTE_LENGTH - 4] + " ..."
