"""Parses a landed object, by the documents only: its key, and each of its lines.

The rules are in docs/decisions/0001, 0004 and 0008, and in the docstring of the lake's parser (the event). They are
implemented a second time on purpose and share no code with the lake, so that each implementation checks the other.
"""

from __future__ import annotations

import json
import re
from datetime import date
from hashlib import blake2b
from typing import Any

from oracle.model import Enriched, Landed, Quarantined

LANDED, REPAIRED = "streaming", "streaming-repaired"
DAY, HOUR = 86_400, 3_600
# Firehose's limit for a record, and how many bytes of a longer line are kept
LONGEST_LINE, LONG_LINE_KEPT = 1_024_000, 65_536
MAX_INT = 2**31 - 1
# Maximum levels of nesting; Python's own limit depends on the depth of the call stack.
DEEPEST = 100

_DIGITS = frozenset("0123456789")
_HEX = frozenset("0123456789abcdef")
_UUID_SHAPE = [8, 4, 4, 4, 12]
_STAMP = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(?:Z|([+-])(\d\d):?(\d\d))", re.ASCII)
ANY_UUID = re.compile(rb"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_UTF8_HOLDS = re.compile(r"[^\ud800-\udfff]+").fullmatch
_EPOCH = date(1970, 1, 1).toordinal()
_FIRST_SECOND = (date.min.toordinal() - _EPOCH) * DAY
_LAST_SECOND = (date.max.toordinal() - _EPOCH + 1) * DAY - 1


class _Pairs(list[tuple[str, Any]]):
    """A JSON object as it was written: its pairs in order, with duplicate keys."""


class _Rejected(Exception):
    """A line is not a valid event; the text is the reason."""


def digest(kept: bytes) -> bytes:
    """A hash (8 bytes) of what the quarantine keeps of a line."""
    return blake2b(kept, digest_size=8).digest()


def place(key: str) -> Landed:
    """Parse a key: the month from its folder, the time from its name; ``unknown`` and None for irregular keys."""
    folders = key.split("/", 3)
    if len(folders) < 4 or folders[0] not in {LANDED, REPAIRED}:
        return Landed(key, "unknown", "unknown", None)
    _, year, month, name = folders
    if not (_is_number(year, 4) and _is_number(month, 2) and 1 <= int(month) <= 12):
        return Landed(key, "unknown", "unknown", None)
    time = _name_time(name)
    if time is not None and _outside_month(time, int(year), int(month)):
        time = None
    return Landed(key, year, month, time)


def _is_number(text: str, length: int) -> bool:
    return len(text) == length and _DIGITS.issuperset(text)


def _name_time(name: str) -> int | None:
    """``<stream>-<version>-YYYY-MM-DD-HH-MM-SS-<uuid>``: seconds since 1970."""
    parts = name.rsplit("-", 12)  # stream, version, six of the time, five of the uuid
    if len(parts) != 13 or "/" in name or not parts[0] or not parts[1] or not _DIGITS.issuperset(parts[1]):
        return None
    clock, uuid = parts[2:8], parts[8:]
    if not all(_is_number(text, 4 if n == 0 else 2) for n, text in enumerate(clock)) or clock[0] < "1000":
        return None
    if [len(text) for text in uuid] != _UUID_SHAPE or not _HEX.issuperset("".join(uuid)):
        return None
    return _seconds(*(int(text) for text in clock))


def _seconds(year: int, month: int, day: int, hour: int, minute: int, second: int) -> int | None:
    """Seconds since 1970, or None for a time that does not exist."""
    if hour > 23 or minute > 59 or second > 59:
        return None
    try:
        days = date(year, month, day).toordinal() - _EPOCH
    except ValueError:
        return None
    return days * DAY + hour * HOUR + minute * 60 + second


def _outside_month(time: int, year: int, month: int) -> bool:
    """Whether a name's time is more than 48 hours outside its folder's month."""
    if year == 0:
        return True
    begin = (date(year, month, 1).toordinal() - _EPOCH) * DAY
    last = date(year + month // 12, month % 12 + 1, 1) if (year, month) != (9999, 12) else date.max
    return not begin - 2 * DAY <= time < (last.toordinal() - _EPOCH) * DAY + 2 * DAY


def read(key: str, body: bytes, event_ids: set[str]) -> Landed:
    """Parse each line of an object that is not blank, without regard to other objects; adds all event ids in it."""
    landed = place(key)
    known: dict[str, str | _Rejected] = {}  # timestamps already parsed; many events have the same one
    for number, line in enumerate(body.split(b"\n"), start=1):
        if not line or line.isspace():
            continue
        try:
            event = _event(landed, number, line, known)
        except _Rejected as error:
            landed.lines[number] = _quarantined(line, str(error))
            event_ids.update(found.decode().lower() for found in ANY_UUID.findall(line))
        else:
            landed.lines[number] = event
            if event.event_id:
                event_ids.add(event.event_id)
    return landed


def _quarantined(line: bytes, reason: str) -> Quarantined:
    if len(line) > LONGEST_LINE:
        return Quarantined(reason, "base64-start", digest(line[:LONG_LINE_KEPT]))
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return Quarantined(reason, "base64", digest(line))
    return Quarantined(reason, "utf-8", digest(line))


def _event(landed: Landed, number: int, line: bytes, known: dict[str, str | _Rejected]) -> Enriched:
    if landed.time is None:
        raise _Rejected("object name")
    if len(line) > LONGEST_LINE:
        raise _Rejected("line too long")
    try:
        written = _JSON.decode(line.decode("utf-8"))
    except UnicodeDecodeError:
        raise _Rejected("not UTF-8") from None
    except (ValueError, RecursionError):
        raise _Rejected("not JSON") from None
    if line.count(b"[") + line.count(b"{") > DEEPEST and _depth(written) > DEEPEST:
        raise _Rejected("not JSON")
    if not isinstance(written, _Pairs):
        raise _Rejected("not a JSON object")
    fields = _by_lower_case(written)
    if fields is None:
        raise _Rejected("duplicate key")
    if landed.key.startswith(f"{REPAIRED}/"):
        fields, target = _repair(landed, fields)
        event = _checked(landed.time, fields, line, known)
        landed.supersedes[number] = target
        return event
    return _checked(landed.time, fields, line, known)


def _repair(landed: Landed, fields: dict[str, Any]) -> tuple[dict[str, Any], tuple[str, int]]:
    """Parse ``{"supersedes": {"source_file": KEY, "source_line": N}, "event": {...}}``.

    The superseded line must be in another object of the same month and time.
    """
    parts = []
    for name in ("supersedes", "event"):
        inner = _by_lower_case(fields[name]) if isinstance(fields.get(name), _Pairs) else None
        if inner is None:
            raise _Rejected(f"missing field: {name}")
        parts.append(inner)
    line, event = parts
    file, number = line.get("source_file"), line.get("source_line")
    if not isinstance(file, str) or type(number) is not int or not 0 < number <= MAX_INT:
        raise _Rejected("impossible value: supersedes")
    target = place(file)
    if file == landed.key or target.time != landed.time or target.month != landed.month:
        raise _Rejected("impossible value: supersedes")
    return event, (file, number)


def _checked(name_time: int, fields: dict[str, Any], line: bytes, known: dict[str, str | _Rejected]) -> Enriched:
    """The event with these fields, checked in the order of the partners' format."""
    stamp = _text(fields, "timestamp")
    if stamp not in known:
        try:
            known[stamp] = _utc(stamp, name_time)
        except _Rejected as error:
            known[stamp] = error
    time = known[stamp]
    if isinstance(time, _Rejected):
        raise time
    kind = _text(fields, "eventtype")
    if kind not in {"rent", "buy", "trailer"}:
        raise _Rejected("impossible value: eventtype")
    film = fields.get("film_id")
    if film is None:
        raise _Rejected("missing field: film_id")
    if type(film) is not int or film < 1 or film > MAX_INT:
        raise _Rejected("impossible value: film_id")
    who, device, state = _text(fields, "distributor"), _text(fields, "platform"), _text(fields, "state")
    event_id = fields.get("event_id")
    if event_id is not None and not _is_uuid(event_id):
        raise _Rejected("impossible value: event_id")
    return Enriched(stamp, kind, film, who, device, state, event_id and event_id.lower(), time, digest(line))


def _is_uuid(value: Any) -> bool:
    return isinstance(value, str) and value.isascii() and ANY_UUID.fullmatch(value.encode()) is not None


def _text(fields: dict[str, Any], name: str) -> str:
    """A field's text, which must not be blank and must be encodable in UTF-8."""
    value = fields.get(name)
    if value is None:
        raise _Rejected(f"missing field: {name}")
    if not isinstance(value, str) or not value.strip() or not (value.isascii() or _UTF8_HOLDS(value)):
        raise _Rejected(f"impossible value: {name}")
    return value


def _utc(stamp: str, name_time: int) -> str:
    """Convert ISO-8601 to UTC; at most 400 days before and one hour after the time in the object's name."""
    match = _STAMP.fullmatch(stamp)
    local = _seconds(*(int(text) for text in match.groups()[:6])) if match else None
    if match is None or local is None:
        raise _Rejected("impossible value: timestamp")
    fraction, sign, hours, minutes = match.groups()[6:]
    micros = int((fraction or "0").ljust(6, "0")[:6])
    if sign and (int(hours) > 23 or int(minutes) > 59):
        raise _Rejected("impossible value: timestamp")
    offset = (int(hours) * HOUR + int(minutes) * 60) * (-1 if sign == "-" else 1) if sign else 0
    time = local - offset
    if (time, micros) > (min(name_time + HOUR, _LAST_SECOND), 999_999 if name_time + HOUR > _LAST_SECOND else 0):
        raise _Rejected("too late")
    if time < max(name_time - 400 * DAY, _FIRST_SECOND):
        raise _Rejected("too early")
    days, rest = divmod(time, DAY)
    day = date.fromordinal(_EPOCH + days)
    return f"{day.isoformat()}T{rest // HOUR:02}:{rest % HOUR // 60:02}:{rest % 60:02}Z"


def _by_lower_case(pairs: _Pairs) -> dict[str, Any] | None:
    """Fields by lower-case name; None when two names differ only in case."""
    fields = {name.lower(): value for name, value in pairs}
    return fields if len(fields) == len(pairs) else None


def _depth(value: Any) -> int:
    """Levels of objects and arrays; 0 for a plain value."""
    depth, level = 0, [value]
    while level := [one for one in level if isinstance(one, list)]:
        depth += 1
        level = [inner for one in level for inner in ((v for _, v in one) if isinstance(one, _Pairs) else one)]
    return depth


def _reject_constant(constant: str) -> None:
    raise ValueError(constant)


_JSON = json.JSONDecoder(object_pairs_hook=_Pairs, parse_constant=_reject_constant)
