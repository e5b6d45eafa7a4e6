"""The note that a DAG run shows in the UI: a task gives the text, ``plugins/run_note_plugin.py`` puts it there.

Only the standard library: the plugin is loaded by every part of Airflow.
"""

from __future__ import annotations

from typing import Any

NOTE_KEY = "run_note"  # the XCom that holds the text
NOTE_LENGTH = 1000  # characters that Airflow keeps


def give_note(ti: Any, text: str) -> None:
    """Ask for ``text`` in the run's note. ``ti`` is the running task's instance; a task may also fail afterwards."""
    ti.xcom_push(key=NOTE_KEY, value=text)


def compose(texts: list[str]) -> str:
    """One note of what several tasks gave, as long as Airflow keeps it."""
    note = "\n\n".join(texts).replace("\0", "")
    return note if len(note) <= NOTE_LENGTH else note[: NOTE_LENGTH - 4] + " ..."
