"""Where every landed line must end: ``expect``. Whether it is there: ``compare``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from oracle import lines
from oracle.comparison import compare
from oracle.model import Actual, Enriched, Expected, Film, Landed, Quarantined, Verdict

__all__ = ["Actual", "Expected", "Film", "Verdict", "compare", "expect"]

LOOK_BACK = 48 * lines.HOUR

# What tells two copies of an event from two events: all that the partner wrote but the id
_CONTENT = slice(0, 6)


def expect(
    objects: Iterable[tuple[str, bytes]], films: Mapping[int, Film], older_films: Sequence[Mapping[int, Film]] = ()
) -> Expected:
    """The fate of each line of these landed objects that is not blank.

    Args:
        objects: key and bytes of objects under ``streaming/`` and ``streaming-repaired/``, in any order, each once. To
            judge a month they must include those of the 48 hours before it.
        films: the catalogue by ``film_id``.
        older_films: versions of it that rows may still be of.
    """
    event_ids: set[str] = set()
    landed = {key: lines.read(key, body, event_ids) for key, body in objects}
    # By time in the name, then key: in this order copies and repairs rank
    ranked = sorted((one.time, one.key) for one in landed.values() if one.time is not None)
    _repair(landed, [key for _, key in ranked])
    _withdraw_copies([(time, landed[key]) for time, key in ranked])
    return Expected(landed, films, event_ids, older_films)


def _repair(landed: dict[str, Landed], ranked: list[str]) -> None:
    """A line that a good repair names is superseded, bad ones too; of several repairs the first in rank counts.

    A superseded repair still repairs: its own successor stands for the same line. A repair of a line that never landed
    would count an event that nobody sent.
    """
    claims: dict[tuple[str, int], list[tuple[Landed, int]]] = {}
    for one in map(landed.__getitem__, ranked):
        for number, target in one.supersedes.items():
            claims.setdefault(target, []).append((one, number))
    for (file, line), claimants in claims.items():
        if file in landed and line in landed[file].lines:
            _withdraw(landed[file], line, "superseded")
            late, reason = claimants[1:], "already repaired"
        else:
            late, reason = claimants, "repairs no landed line"
        for one, number in late:
            if (one.key, number) not in claims:
                _withdraw(one, number, reason)


def _withdraw_copies(ranked: list[tuple[int, Landed]]) -> None:
    """A copy counts unless another of its event_id precedes it by at most 48 hours, whatever became of that one."""
    before: dict[str, list[tuple[int, Enriched]]] = {event_id: [] for event_id in _repeated(ranked)}
    for now, one in ranked:
        for number, line in one.lines.items():
            if not isinstance(line, Enriched) or line.event_id not in before:
                continue
            copies = before[line.event_id]
            recent = [copy for time, copy in copies if now - time <= LOOK_BACK]
            if recent:
                same = any(copy[_CONTENT] == line[_CONTENT] for copy in recent)
                _withdraw(one, number, "duplicate" if same else "conflicting event_id")
            copies.append((now, line))


def _repeated(ranked: Iterable[tuple[int, Landed]]) -> set[str]:
    """Event ids of more than one good line: few, so that the copies of these alone need to be kept."""
    seen: set[str] = set()
    repeated: set[str] = set()
    for _, one in ranked:
        for line in one.lines.values():
            if isinstance(line, Enriched) and line.event_id:
                (repeated if line.event_id in seen else seen).add(line.event_id)
    return repeated


def _withdraw(landed: Landed, number: int, reason: str) -> None:
    """Send a line to the quarantine for this reason."""
    line = landed.lines[number]
    encoding = line.encoding if isinstance(line, Quarantined) else "utf-8"
    landed.lines[number] = Quarantined(reason, encoding, line.digest)
