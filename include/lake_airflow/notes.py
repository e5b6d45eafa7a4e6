"""The note of a DAG run in the UI: a task gives the text, and ``plugins/run_note_plugin.py`` puts it there.

This module imports only the standard library, as every part of Airflow loads the plugin.
"""

from __future__ import annotations

from typing import Any

NOTE_KEY = "run_note"  # the XCom that holds the text
NOTE_LENGTH = 1000  # characters that Airflow keeps


def give_note(ti: Any, text: str) -> None:
    """Put ``text`` into the run's note, also if the task fails afterwards. ``ti`` is the running task's instance."""
    ti.xcom_push(key=NOTE_KEY, value=text)


def compose(texts: list[str]) -> str:
    """One note from the texts of several tasks, cut to the length that Airflow keeps."""
    note = "\n\n".join(texts).replace("\0", "")
    return note if len(note) <= NOTE_LENGTH else note[: NOTE_LENGTH - 4] + " ..."
