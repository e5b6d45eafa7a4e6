"""Decides where every landed line must end; ``compare`` then checks whether it is there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from oracle import lines
from oracle.comparison import compare
from oracle.model import Actual, Enriched, Expected, Film, Landed, Quarantined, Verdict

__all__ = ["Actual", "Expected", "Film", "Verdict", "compare", "expect"]

LOOK_BACK = 48 * lines.HOUR

# The fields that copies of the same event share: all that the partner wrote except the id
_CONTENT = slice(0, 6)


def expect(
    objects: Iterable[tuple[str, bytes]], films: Mapping[int, Film], older_films: Sequence[Mapping[int, Film]] = ()
) -> Expected:
    """Decide for each line of these objects that is not blank whether it is enriched or quarantined.

    Args:
        objects: key and bytes of objects under ``streaming/`` and ``streaming-repaired/``, in any order, each once. For
            a month they must include those of the 48 hours before it.
        films: curated.film_category by ``film_id``.
        older_films: earlier versions of it, which rows may still have.
    """
    event_ids: set[str] = set()
    landed = {key: lines.read(key, body, event_ids) for key, body in objects}
    # Sorted by the time in the name, then by key: the order of precedence of copies and repairs
    ranked = sorted((one.time, one.key) for one in landed.values() if one.time is not None)
    _apply_repairs(landed, [key for _, key in ranked])
    _quarantine_copies([(time, landed[key]) for time, key in ranked])
    return Expected(landed, films, event_ids, older_films)


def _apply_repairs(landed: dict[str, Landed], ranked: list[str]) -> None:
    """Quarantine every line, good or bad, of which valid repairs name each value; of several the first one counts.

    A line has one value, unless several JSON values are on it. A repair that is itself superseded still supersedes its
    line: its successor repairs the same line. A repair of a line that never landed is quarantined, because it would
    count an event that nobody sent.
    """
    claims: dict[tuple[str, int, int], list[tuple[Landed, int]]] = {}
    for one in map(landed.__getitem__, ranked):
        for number, target in one.supersedes.items():
            claims.setdefault(target, []).append((one, number))
    repaired = Counter(
        (file, line)
        for file, line, index in claims
        if file in landed and line in landed[file].lines and index <= landed[file].values.get(line, 1)
    )
    superseded = {(file, line) for (file, line), n in repaired.items() if n == landed[file].values.get(line, 1)}
    for file, line in superseded:
        _quarantine(landed[file], line, "superseded")
    for (file, line, index), claimants in claims.items():
        lands = (file, line) in repaired and index <= landed[file].values.get(line, 1)
        for one, number in claimants[1:] if lands else claimants:
            if (one.key, number) not in superseded:
                _quarantine(one, number, "already repaired" if lands else "repairs no landed line")


def _quarantine_copies(ranked: list[tuple[int, Landed]]) -> None:
    """A copy counts unless another one precedes it by at most 48 hours, even if that one is itself quarantined."""
    before: dict[str, list[tuple[int, Enriched]]] = {event_id: [] for event_id in _repeated(ranked)}
    for now, one in ranked:
        for number, line in one.lines.items():
            if not isinstance(line, Enriched) or line.event_id not in before:
                continue
            copies = before[line.event_id]
            recent = [copy for time, copy in copies if now - time <= LOOK_BACK]
            if recent:
                same = any(copy[_CONTENT] == line[_CONTENT] for copy in recent)
                _quarantine(one, number, "duplicate" if same else "conflicting event_id")
            copies.append((now, line))


def _repeated(ranked: Iterable[tuple[int, Landed]]) -> set[str]:
    """Event ids of more than one good line. They are few, so only their copies are kept in memory."""
    seen: set[str] = set()
    repeated: set[str] = set()
    for _, one in ranked:
        for line in one.lines.values():
            if isinstance(line, Enriched) and line.event_id:
                (repeated if line.event_id in seen else seen).add(line.event_id)
    return repeated


def _quarantine(landed: Landed, number: int, reason: str) -> None:
    """Mark a line as quarantined for this reason."""
    line = landed.lines[number]
    encoding = line.encoding if isinstance(line, Quarantined) else "utf-8"
    landed.lines[number] = Quarantined(reason, encoding, line.digest)
