"""Parses a landed object, by the documents only: its key, and each of its lines.

The rules are in docs/decisions/0001, 0004, 0008 and 0027, and in the docstring of the lake's parser (the event). They
are implemented a second time on purpose and share no code with the lake, so that each implementation checks the other.
"""

from __future__ import annotations

import re
from datetime import date
from hashlib import blake2b
from typing import Any

from oracle.json_text import LONGEST_KEPT, Pairs, Rejected, written_value
from oracle.model import Enriched, Landed, Quarantined

LANDED, REPAIRED = "streaming", "streaming-repaired"
DAY, HOUR = 86_400, 3_600
LONG_LINE_KEPT = 65_536  # bytes of a line that is not kept whole
MAX_INT = 2**31 - 1
EXPECTED = {
    "timestamp": "timestamp: expected a time with its offset as 2026-11-30T12:00:00Z",
    "eventtype": "eventtype: expected rent or buy or trailer",
    "film_id": "film_id: expected a whole number from 1 to 2147483647",
    "distributor": "distributor: expected a text that is not blank",
    "platform": "platform: expected a text that is not blank",
    "state": "state: expected a text that is not blank",
    "event_id": "event_id: expected a UUID",
    "supersedes": "supersedes: expected a line of another object of the same month and time",
}

_DIGITS = frozenset("0123456789")
_HEX = frozenset("0123456789abcdef")
_UUID_SHAPE = [8, 4, 4, 4, 12]
_STAMP = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(?:Z|([+-])(\d\d)(?::?(\d\d))?)", re.ASCII
)
ANY_UUID = re.compile(rb"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_UTF8_HOLDS = re.compile(r"[^\ud800-\udfff]+").fullmatch
_EPOCH = date(1970, 1, 1).toordinal()
_FIRST_SECOND = (date.min.toordinal() - _EPOCH) * DAY
_LAST_SECOND = (date.max.toordinal() - _EPOCH + 1) * DAY - 1


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
    known: dict[str, tuple[str, str] | Rejected] = {}  # timestamps already parsed; many events have the same one
    for number, line in enumerate(body.split(b"\n"), start=1):
        if not line or line.isspace():
            continue
        try:
            event = _event(landed, number, line, known)
        except Rejected as error:
            landed.lines[number] = _quarantined(line, str(error))
            if error.values > 1:
                landed.values[number] = error.values
            event_ids.update(found.decode().lower() for found in ANY_UUID.findall(line))
        else:
            landed.lines[number] = event
            if event.event_id:
                event_ids.add(event.event_id)
    return landed


def _quarantined(line: bytes, reason: str) -> Quarantined:
    if len(line) > LONGEST_KEPT:
        return Quarantined(reason, "base64-start", digest(line[:LONG_LINE_KEPT]))
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return Quarantined(reason, "base64", digest(line))
    return Quarantined(reason, "utf-8", digest(line))


def _event(landed: Landed, number: int, line: bytes, known: dict[str, tuple[str, str] | Rejected]) -> Enriched:
    if landed.time is None:
        raise Rejected("object name")
    written = written_value(line)
    if not isinstance(written, Pairs):
        raise Rejected("not a JSON object", max(1, len(written)) if isinstance(written, list) else 1)
    fields = _by_lower_case(written)
    if fields is None:
        raise Rejected("duplicate key")
    if landed.key.startswith(f"{REPAIRED}/"):
        fields, target = _repair(landed, fields)
        event = _checked(landed.time, fields, line, known)
        landed.supersedes[number] = target
        return event
    return _checked(landed.time, fields, line, known)


def _repair(landed: Landed, fields: dict[str, Any]) -> tuple[dict[str, Any], tuple[str, int, int]]:
    """Parse ``{"supersedes": {"source_file": KEY, "source_line": N, "source_index": 1}, "event": {...}}``.

    The superseded line must be in another object of the same month and time. The index may be left out.
    """
    parts = []
    for name in ("supersedes", "event"):
        inner = _by_lower_case(fields[name]) if isinstance(fields.get(name), Pairs) else None
        if inner is None:
            raise Rejected(f"missing field: {name}")
        parts.append(inner)
    line, event = parts
    file, number, index = line.get("source_file"), line.get("source_line"), line.get("source_index", 1)
    if not isinstance(file, str) or number is None or not (_is_count(number) and _is_count(index)):
        raise Rejected(EXPECTED["supersedes"])
    target = place(file)
    if file == landed.key or target.time != landed.time or target.month != landed.month:
        raise Rejected(EXPECTED["supersedes"])
    return event, (file, number, index)


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 < value <= MAX_INT


def _checked(
    name_time: int, fields: dict[str, Any], line: bytes, known: dict[str, tuple[str, str] | Rejected]
) -> Enriched:
    """The event with these fields, checked in the order of the partners' format."""
    stamp = fields.get("timestamp")
    stamp = str(stamp) if type(stamp) is int else _text(fields, "timestamp")
    if stamp not in known:
        try:
            known[stamp] = _utc(stamp, name_time)
        except Rejected as error:
            known[stamp] = error
    time = known[stamp]
    if isinstance(time, Rejected):
        raise time
    kind = _text(fields, "eventtype")
    if kind not in {"rent", "buy", "trailer"}:
        raise Rejected(EXPECTED["eventtype"])
    film = _film(fields.get("film_id"))
    who, device, state = _text(fields, "distributor"), _text(fields, "platform"), _text(fields, "state")
    event_id = fields.get("event_id")
    if event_id is not None and not _is_uuid(event_id):
        raise Rejected(EXPECTED["event_id"])
    return Enriched(time[0], kind, film, who, device, state, event_id and event_id.lower(), time[1], digest(line))


def _film(value: Any) -> int:
    """A number, a decimal number without a fraction, or the digits of a number as a text."""
    if value is None:
        raise Rejected("missing field: film_id")
    written = isinstance(value, str) and 0 < len(value) <= 10 and _DIGITS.issuperset(value) and value[0] != "0"
    if written or (isinstance(value, float) and value % 1 == 0 and abs(value) <= MAX_INT):
        value = int(value)
    if not _is_count(value):
        raise Rejected(EXPECTED["film_id"])
    film: int = value
    return film


def _is_uuid(value: Any) -> bool:
    return isinstance(value, str) and value.isascii() and ANY_UUID.fullmatch(value.encode()) is not None


def _text(fields: dict[str, Any], name: str) -> str:
    """A field's text, which must not be blank and must be encodable in UTF-8."""
    value = fields.get(name)
    if value is None:
        raise Rejected(f"missing field: {name}")
    if not isinstance(value, str) or not value.strip() or not (value.isascii() or _UTF8_HOLDS(value)):
        raise Rejected(EXPECTED[name])
    return value


def _utc(stamp: str, name_time: int) -> tuple[str, str]:
    """The time as ISO-8601 with T, and in UTC; at most 400 days before and one hour after that in the object's name."""
    if len(stamp) in {10, 13} and _DIGITS.issuperset(stamp) and stamp[0] != "0":  # seconds or milliseconds since 1970
        stamp = _written(int(stamp[:10]), f".{stamp[10:]}" if stamp[10:] else "")
    match = _STAMP.fullmatch(stamp)
    local = _seconds(*(int(text) for text in match.groups()[:6])) if match else None
    if match is None or local is None:
        raise Rejected(EXPECTED["timestamp"])
    fraction, sign, hours, minutes = match.groups()[6:]
    micros = int((fraction or "0").ljust(6, "0")[:6])
    if sign and (int(hours) > 23 or int(minutes or 0) > 59):
        raise Rejected(EXPECTED["timestamp"])
    offset = (int(hours) * HOUR + int(minutes or 0) * 60) * (-1 if sign == "-" else 1) if sign else 0
    time = local - offset
    if (time, micros) > (min(name_time + HOUR, _LAST_SECOND), 999_999 if name_time + HOUR > _LAST_SECOND else 0):
        raise Rejected("too late")
    if time < max(name_time - 400 * DAY, _FIRST_SECOND):
        raise Rejected("too early")
    return stamp.replace(" ", "T"), _written(time)


def _written(time: int, fraction: str = "") -> str:
    """Seconds since 1970 as ISO-8601 in UTC."""
    days, rest = divmod(time, DAY)
    day = date.fromordinal(_EPOCH + days)
    return f"{day.isoformat()}T{rest // HOUR:02}:{rest % HOUR // 60:02}:{rest % 60:02}{fraction}Z"


def _by_lower_case(pairs: Pairs) -> dict[str, Any] | None:
    """Fields by lower-case name; None when two names differ only in case."""
    fields = {name.lower(): value for name, value in pairs}
    return fields if len(fields) == len(pairs) else None
