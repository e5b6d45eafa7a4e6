"""What the user of a home is told, from the state file alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from local.settings import Settings
from local.supervision import control


def state(name: str, state: str, *after: str, message: str = "") -> dict[str, object]:
    return {"service": name, "state": state, "after": after, "message": message}


@pytest.mark.parametrize("users_state", ["waiting", "blocked"])
def test_what_cannot_start_is_named_before_the_supervisor_has_blocked_it(tmp_path: Path, users_state: str) -> None:
    """A service's failure and the blocking of those that need it are two writes of the state file."""
    services = [
        state("first", "failed", message="the disk is full"),
        state("second", users_state, "first"),
        state("third", "waiting", "second"),
        state("other", "starting"),
        state("of_other", "waiting", "other"),
    ]
    (tmp_path / "state.json").write_text(json.dumps({"services": services}))
    with pytest.raises(control.HomeError) as raised:
        control.wait(Settings(tmp_path, port=15600), lambda _: None)
    assert str(raised.value) == "first: the disk is full\nnot started for that reason: second, third"
