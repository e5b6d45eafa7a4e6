"""Repairs of quarantined lines: what an operator has uploaded becomes the repair objects that the enrichment reads.

An upload is an object ``repairs/yyyy-MM/<any name>`` of JSON lines ``{"supersedes": {"source_file": KEY, "source_line":
N}, "event": {...}}``; ``source_index`` beside ``source_line`` names one of several JSON values on that line. Each line
is judged as the job will judge it, and compared with the quarantine and with earlier repairs. The good lines that
repair one landed object become one repair object, whose name is derived from that object and its own bytes. So
publishing can be repeated after an interruption: it writes the same objects again. Uploads are not changed.
"""

from __future__ import annotations

import json
import uuid
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

from datalake.events import NOT_WRONG, Event, LineParser, Rejection, Supersedes, parse_object
from datalake.json_lines import NOT_AN_OBJECT, SEVERAL_VALUES, split_lines
from datalake.landing import LandedObject, landed_objects, parse_key
from datalake.months import Month
from datalake.names import REPAIRED_PREFIX, REPAIRS_PREFIX

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

ALL_REASONS = "all"
SEVERAL_EVENTS = frozenset({SEVERAL_VALUES, NOT_AN_OBJECT})  # a line with one of these reasons can hold several events

# Returns the quarantined lines of these landed objects: source_file, source_line -> reason.
Quarantined = Callable[[Collection[str]], Mapping[tuple[str, int], str]]

_NO_UUID = str(uuid.UUID(int=0))


class Repair(NamedTuple):
    """One line that repairs another."""

    supersedes: Supersedes
    text: bytes  # as uploaded, without blanks around it
    place: str  # where it was found: key and line


@dataclass
class Published:
    """The result of publishing the uploads of a month."""

    new: Counter[str] = field(default_factory=Counter)  # lines published now, by their reason in quarantine
    before: int = 0  # lines that an earlier run had published
    keys: list[str] = field(default_factory=list)  # of the objects written now
    refused: list[str] = field(default_factory=list)  # place and reason of lines that were not published


def publish(s3: S3Client, bucket: str, month: Month, reason: str, quarantined: Quarantined) -> Published:
    """Publish the uploaded repairs of a month, for lines quarantined for ``reason`` or for any (ALL_REASONS).

    Errors of ``s3`` pass through.
    """
    result = Published()
    wanted: dict[Supersedes, Repair] = {}
    for place, text in _uploaded(s3, bucket, month):
        repair = read_repair(place, text, month)
        if isinstance(repair, str):
            result.refused.append(f"{place}: {repair}")
        elif (first := wanted.setdefault(repair.supersedes, repair)).text != text:
            result.refused.append(f"{place}: {first.place} repairs the same line differently")
    held = quarantined({line.source_file for line in wanted}) if wanted else {}
    done = {repair.supersedes: repair for repair in published(s3, bucket, month)} if wanted else {}
    good: list[Repair] = []
    for line, repair in wanted.items():
        if earlier := done.get(line):
            if earlier.text == repair.text:
                result.before += 1
            else:
                result.refused.append(f"{repair.place}: {earlier.place} has repaired the line differently")
        elif objection := _objection(line.source_index, held.get(line[:2]), reason):
            result.refused.append(f"{repair.place}: {line.source_file} line {line.source_line} {objection}")
        else:
            good.append(repair)
            result.new[held[line[:2]]] += 1
    for key, body in repair_objects(good):
        s3.put_object(Bucket=bucket, Key=key, Body=body)
        result.keys.append(key)
    return result


def read_repair(place: str, text: bytes, month: Month) -> Repair | str:
    """One uploaded line as a repair, or what is wrong with it."""
    file = _named_file(text)
    if not file:
        return 'is not {"supersedes": {"source_file": ..., "source_line": ...}, "event": {...}}'
    superseded = parse_key(file)
    if superseded.month != month:
        return f"{file} lies in {superseded.month}, not in {month}"
    if not superseded.time:
        return f"the name of {file} has no time: land its lines again instead"
    outcome = LineParser(parse_key(_repair_key(superseded, _NO_UUID))).parse(text)
    if isinstance(outcome, Rejection) or not outcome.supersedes:
        return str(outcome)
    return Repair(outcome.supersedes, text, place)


def repair_objects(repairs: Iterable[Repair]) -> Iterator[tuple[str, bytes]]:
    """Key and bytes of one repair object for each landed object; they do not depend on the order of ``repairs``."""
    ordered = sorted(repairs, key=lambda repair: repair.supersedes)
    for file, group in groupby(ordered, key=lambda repair: repair.supersedes.source_file):
        body = b"".join(repair.text + b"\n" for repair in group)
        name = uuid.uuid5(uuid.NAMESPACE_URL, f"{file}\n{body.decode()}")
        yield _repair_key(parse_key(file), str(name)), body


def published(s3: S3Client, bucket: str, month: Month) -> Iterator[Repair]:
    """The good lines of a month's repair objects."""
    for landed in landed_objects(s3, bucket, REPAIRED_PREFIX + month.folder):
        for line in parse_object(landed.key, _read(s3, bucket, landed.key)):
            if isinstance(line.outcome, Event) and line.outcome.supersedes:
                yield Repair(line.outcome.supersedes, line.raw.strip(), f"{landed.key} line {line.source_line}")


def _uploaded(s3: S3Client, bucket: str, month: Month) -> Iterator[tuple[str, bytes]]:
    """Place (key and line) and text of every uploaded line that is not blank."""
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{REPAIRS_PREFIX}{month.key}/")
    for key in (entry["Key"] for page in pages for entry in page.get("Contents", [])):
        for number, line in split_lines(_read(s3, bucket, key)):
            yield f"{key} line {number}", line.strip()


def _objection(index: int, held_for: str | None, reason: str) -> str:
    """Why a value of a line quarantined for ``held_for`` (None: not quarantined) must not be repaired; empty: it may.

    Whether the line holds so many values is known to the job alone, which quarantines the repair of one more.
    """
    if held_for is None:
        return "is not in the quarantine"
    if held_for in NOT_WRONG:
        return f"is quarantined as {held_for!r}: nothing is wrong with it"
    if reason not in (ALL_REASONS, held_for):
        return f"is quarantined for {held_for!r}, not for {reason!r}"
    if index > 1 and held_for not in SEVERAL_EVENTS:
        return f"holds one event: source_index must be 1, not {index}"
    return ""


def _repair_key(superseded: LandedObject, name: str) -> str:
    """A repair object's key, with the month and time of the repaired object: see ``datalake.landing``."""
    stem = superseded.key.rpartition("/")[2][: -len(_NO_UUID)]
    return f"{REPAIRED_PREFIX}{superseded.month.folder}{stem}{name}"


def _named_file(text: bytes) -> str:
    """The landed object that an uploaded line names; empty when it names none."""
    try:
        fields = json.loads(text)
        line = next(value for name, value in fields.items() if name.lower() == "supersedes")
        file = next(value for name, value in line.items() if name.lower() == "source_file")
    except (ValueError, RecursionError, AttributeError, StopIteration):
        return ""
    return file if isinstance(file, str) else ""


def _read(s3: S3Client, bucket: str, key: str) -> bytes:
    return s3.get_object(Bucket=bucket, Key=key)["Body"].read()
