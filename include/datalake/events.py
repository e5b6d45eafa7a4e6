"""Parses a landed object: every line that is not blank is an event, or is rejected for one reason.

Events have the partners' format: ``timestamp`` (ISO-8601 with offset), ``eventtype``, ``film_id``, ``distributor``,
``platform``, ``state``, and optionally ``event_id`` (UUID). The case of field names does not matter. Any text is a
valid distributor or platform, as partners add new ones. Unknown fields are reported as drift and are never an error.
What has only one meaning is taken as meant (docs/decisions/0027-events-as-partners-send-them.md): a byte order mark
before the record, ``"106"`` and ``106.0`` for 106, a space for the T of a timestamp, and epoch time.

A line of a repair is ``{"supersedes": {"source_file": KEY, "source_line": N}, "event": {...}}``. With ``source_index``
beside ``source_line`` it repairs one of several JSON values on that line: 1, the first, by default.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from datalake.json_lines import (
    DUPLICATE_KEY,
    NOT_AN_OBJECT,
    NOT_JSON,
    NOT_UTF8,
    OVERLONG,
    SEVERAL_VALUES,
    RejectedError,
    json_object,
    split_lines,
)
from datalake.landing import LandedObject, parse_key

# How far an event's time may lie from the time in its object's name. It is not compared with the clock, so that a
# rebuild judges a line as the first run did.
TOO_EARLY = timedelta(days=400)
TOO_LATE = timedelta(hours=1)
FOUND_SHOWN = 80  # characters of a value that a refusal shows

OBJECT_NAME = "object name"
MISSING = "missing field: {}"
EARLY = "too early"
LATE = "too late"
# Reasons that only a comparison with other lines can find
DUPLICATE = "duplicate"
CONFLICT = "conflicting event_id"
SUPERSEDED = "superseded"
REPAIRED_TWICE = "already repaired"
REPAIRS_NOTHING = "repairs no landed line"
NOT_WRONG = frozenset({DUPLICATE, SUPERSEDED, REPAIRED_TWICE})  # these do not mean that the line is bad

EVENT_TYPES = ("rent", "buy", "trailer")
_MAX_INT = 2**31 - 1
_TEXT_FIELDS = ("distributor", "platform", "state")
# A field's reason tells what was expected. What was found is in the quarantine's raw, so that there are few reasons.
EXPECTED = {
    "timestamp": "timestamp: expected a time with its offset as 2026-11-30T12:00:00Z",
    "eventtype": "eventtype: expected rent or buy or trailer",
    "film_id": f"film_id: expected a whole number from 1 to {_MAX_INT}",
    **{name: f"{name}: expected a text that is not blank" for name in _TEXT_FIELDS},
    "event_id": "event_id: expected a UUID",
    "supersedes": "supersedes: expected a line of another object of the same month and time",
}
_REQUIRED = ("timestamp", "eventtype", "film_id", *_TEXT_FIELDS)
# Every reason for which a landed line is bad and can be repaired. A line of an object whose name has no time cannot, as
# the time of its repair would be unknown.
REPAIRABLE = (
    *(OVERLONG, NOT_UTF8, NOT_JSON, SEVERAL_VALUES, NOT_AN_OBJECT, DUPLICATE_KEY),
    *(MISSING.format(field) for field in _REQUIRED),
    *(EXPECTED[field] for field in (*_REQUIRED, "event_id")),
    *(EARLY, LATE, CONFLICT),
)
_KNOWN = frozenset({*_REQUIRED, "event_id"})
_ISO_8601 = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?(?:Z|[+-][0-9]{2}(?::?[0-5][0-9])?)"
)
_EPOCH_TIME = re.compile(r"[1-9][0-9]{9}(?:[0-9]{3})?")  # seconds or milliseconds, from 2001 to 2286
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_WHOLE_NUMBER = re.compile(r"[1-9][0-9]{0,9}")
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


class Supersedes(NamedTuple):
    """The landed line that a repair replaces, or one of the JSON values on it."""

    source_file: str
    source_line: int
    source_index: int = 1  # 1-based


class Event(NamedTuple):
    """One well-formed event."""

    timestamp: str  # ISO-8601 with T and offset, as written if that was written
    eventtype: str
    film_id: int
    distributor: str
    platform: str
    state: str
    event_id: str | None  # lower case
    event_time: str  # UTC, yyyy-MM-ddTHH:mm:ssZ
    unknown_fields: tuple[str, ...]  # lower case
    supersedes: Supersedes | None


class Rejection(NamedTuple):
    """Why a line is not an event."""

    reason: str  # one of a few, so that they can be counted
    values: int = 1  # JSON values that the line holds; 1 for a line that holds none
    found: str = ""  # the value that is not as expected

    def __str__(self) -> str:
        """The reason with what was found, for people."""
        return f"{self.reason}, found {self.found}" if self.found else self.reason


class Line(NamedTuple):
    """One line that is not blank."""

    source_line: int  # 1-based; blank lines count
    raw: bytes  # without its \n
    outcome: Event | Rejection


def parse_object(key: str, body: bytes) -> Iterator[Line]:
    """Yield every line of a landed object that is not blank, once and in order. No input makes it fail."""
    parser = LineParser(parse_key(key))
    for number, line in split_lines(body):
        yield Line(number, line, parser.parse(line))


class LineParser:
    """Parses the lines of one object; remembers the timestamps that it has already parsed."""

    def __init__(self, landed: LandedObject) -> None:
        self._landed = landed
        self._times: dict[str, tuple[str, str]] = {}
        if landed.time:
            # Keep the limits within the range of datetime, also for a name of year 1 or 9999.
            self._latest = landed.time + min(TOO_LATE, datetime.max.replace(tzinfo=UTC) - landed.time)
            self._earliest = landed.time - min(TOO_EARLY, landed.time - datetime.min.replace(tzinfo=UTC))

    def parse(self, line: bytes) -> Event | Rejection:
        """Parse one line that is not blank; no input makes it fail."""
        try:
            if not self._landed.time:
                return Rejection(OBJECT_NAME)
            fields = json_object(line)
            if self._landed.is_repair:
                return self._repair(fields)
            return self._event(fields, None)
        except RejectedError as rejected:
            return Rejection(rejected.reason, rejected.values, rejected.found)

    def _event(self, fields: dict[str, Any], supersedes: Supersedes | None) -> Event:
        written = fields.get("timestamp")
        times = self._times.get(written) if type(written) is str else None
        timestamp, event_time = times or self._time(written)
        eventtype = _text(fields, "eventtype")
        if eventtype not in EVENT_TYPES:
            raise _unexpected("eventtype", eventtype)
        film_id = fields.get("film_id")
        if type(film_id) is not int or not 1 <= film_id <= _MAX_INT:  # a bool is an int, too
            film_id = _whole_number("film_id", film_id)
        distributor, platform, state = (_text(fields, name) for name in _TEXT_FIELDS)
        event_id = fields.get("event_id")
        if event_id is not None:
            if not isinstance(event_id, str) or not _UUID.fullmatch(event_id):
                raise _unexpected("event_id", event_id)
            event_id = event_id.lower()
        unknown = () if fields.keys() <= _KNOWN else tuple(sorted(map(_printable, fields.keys() - _KNOWN)))
        return Event(
            timestamp, eventtype, film_id, distributor, platform, state, event_id, event_time, unknown, supersedes
        )

    def _time(self, written: Any) -> tuple[str, str]:
        """A timestamp in ISO-8601 with T and offset, and in UTC."""
        if written is None:
            raise RejectedError(MISSING.format("timestamp"))
        text = str(written) if type(written) is int else written
        if not isinstance(text, str):
            raise _unexpected("timestamp", written)
        if _EPOCH_TIME.fullmatch(text):
            moment = _EPOCH + timedelta(seconds=int(text[:10]), milliseconds=int(text[10:] or 0))
            text = moment.isoformat(timespec="milliseconds" if text[10:] else "seconds").replace("+00:00", "Z")
        if not _ISO_8601.fullmatch(text):
            raise _unexpected("timestamp", written)
        try:
            time = datetime.fromisoformat(text)
        except ValueError as error:  # the 30th of February, an offset of 25 hours
            raise _unexpected("timestamp", written) from error
        if time > self._latest:
            raise RejectedError(LATE)
        if time < self._earliest:
            raise RejectedError(EARLY)
        times = text.replace(" ", "T"), time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        if isinstance(written, str):
            self._times[written] = times
        return times

    def _repair(self, fields: dict[str, Any]) -> Event:
        """A repair has the month and time of the line that it repairs, so that its event is judged as that line was."""
        line, event = fields.get("supersedes"), fields.get("event")
        if not isinstance(line, dict):
            raise RejectedError(MISSING.format("supersedes"))
        if not isinstance(event, dict):
            raise RejectedError(MISSING.format("event"))
        key, *numbers = line.get("source_file"), line.get("source_line"), line.get("source_index", 1)
        if not isinstance(key, str) or not all(type(number) is int and 1 <= number <= _MAX_INT for number in numbers):
            raise _unexpected("supersedes", line)
        superseded = parse_key(key)
        elsewhere = (superseded.month, superseded.time) != (self._landed.month, self._landed.time)
        if elsewhere or key == self._landed.key:
            raise _unexpected("supersedes", line)
        return self._event(event, Supersedes(key, *numbers))


def _unexpected(name: str, found: Any) -> RejectedError:
    return RejectedError(EXPECTED[name], found=json.dumps(found, default=str)[:FOUND_SHOWN])


def _whole_number(name: str, value: Any) -> int:
    """A field's number that is written as a text or with a fraction of zero."""
    if value is None:
        raise RejectedError(MISSING.format(name))
    number = value
    if (isinstance(value, str) and _WHOLE_NUMBER.fullmatch(value)) or (isinstance(value, float) and value.is_integer()):
        number = int(value)
    if type(number) is not int or not 1 <= number <= _MAX_INT:
        raise _unexpected(name, value)
    return number


def _text(fields: dict[str, Any], name: str) -> str:
    """A field's text, which must not be blank and must be valid Unicode (JSON can escape half a surrogate pair)."""
    value = fields.get(name)
    if value is None:
        raise RejectedError(MISSING.format(name))
    if not isinstance(value, str) or not value.strip() or (not value.isascii() and _SURROGATE.search(value)):
        raise _unexpected(name, value)
    return value


def _printable(name: str) -> str:
    """A field's name as it may stand in a report."""
    return name[:100].encode("unicode_escape").decode()
