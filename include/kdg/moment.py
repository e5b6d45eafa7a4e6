"""The formats of moment.js 2.17.1, which the Kinesis Data Generator loads, in its default language, English.

Tokens and their meaning are those of https://momentjs.com/docs/#/displaying/format/. As there, a letter that is no
token is written as it is, and so is what stands between [brackets] or after a backslash.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import groupby

Part = Callable[[datetime], str]

MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip
DAYS = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")

_TOKEN = re.compile(
    r"\[[^\[]*\]|\\?(?:[Hh]mm(?:ss)?|Mo|MM?M?M?|Do|DDDo|DD?D?D?|ddd?d?|do?|w[o|w]?|W[o|W]?|Qo?|YYYYYY|YYYYY|YYYY|YY|"
    r"gg(?:ggg?)?|GG(?:GGG?)?|e|E|a|A|hh?|HH?|kk?|mm?|ss?|S{1,9}|x|X|zz?|ZZ?|[^\n\r\u2028\u2029])"
)
_LONG_TOKEN = re.compile(r"\[[^\[]*\]|\\?(?:LTS|LT|LL?L?L?|l{1,4})")
_LONG = {
    "LTS": "h:mm:ss A",
    "LT": "h:mm A",
    "L": "MM/DD/YYYY",
    "LL": "MMMM D, YYYY",
    "LLL": "MMMM D, YYYY h:mm A",
    "LLLL": "dddd, MMMM D, YYYY h:mm A",
    "l": "M/D/YYYY",
    "ll": "MMM D, YYYY",
    "lll": "MMM D, YYYY h:mm A",
    "llll": "ddd, MMM D, YYYY h:mm A",
}


def formatter(pattern: str, *, utc: bool) -> Callable[[datetime], str]:
    """A function that writes an aware datetime as ``moment(...).format(pattern)`` does, to the millisecond.

    ``utc`` says that it stands for ``moment.utc(...)``: only there have the tokens z and zz a value.
    """
    expanded = _LONG_TOKEN.sub(lambda token: _LONG.get(token[0], token[0]), pattern)
    known = _PARTS | {
        "z": _constant("UTC" if utc else ""),
        "zz": _constant("Coordinated Universal Time" if utc else ""),
    }
    parts: list[Part] = []
    for is_token, group in groupby(_TOKEN.findall(expanded), key=known.__contains__):
        if is_token:
            parts += [known[token] for token in group]
        else:
            parts.append(_constant("".join(_plain(token) for token in group)))
    return lambda moment: "".join([part(moment) for part in parts])


def _plain(token: str) -> str:
    """What is written for something that is no token: itself, without brackets and backslashes."""
    if len(token) > 1 and token.startswith("["):
        return token[1:-1]
    return token.replace("\\", "")


def _constant(text: str) -> Part:
    return lambda _moment: text


def _ordinal(number: int) -> str:
    suffix = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{suffix}"


def _offset(moment: datetime, separator: str) -> str:
    digits = moment.strftime("%z")
    return f"{digits[:3]}{separator}{digits[3:5]}"


def _weekday(moment: datetime) -> int:
    """0 for Sunday to 6 for Saturday."""
    return moment.isoweekday() % 7


def _week(moment: datetime) -> tuple[int, int]:
    """Year and week of the English calendar: weeks begin on Sunday, and that of 1 January is the first."""
    saturday = moment + timedelta(days=6 - _weekday(moment))
    return saturday.year, (saturday.timetuple().tm_yday - 1) // 7 + 1


def _milliseconds(moment: datetime) -> int:
    return moment.microsecond // 1000


def _hour12(moment: datetime) -> int:
    return moment.hour % 12 or 12


_NUMBERS: dict[str, Callable[[datetime], int]] = {
    "M": lambda m: m.month,
    "Q": lambda m: (m.month + 2) // 3,
    "D": lambda m: m.day,
    "DDD": lambda m: m.timetuple().tm_yday,
    "d": _weekday,
    "w": lambda m: _week(m)[1],
    "W": lambda m: m.isocalendar().week,
}
_PADDED: dict[str, tuple[int, Callable[[datetime], int]]] = {
    "MM": (2, _NUMBERS["M"]),
    "DD": (2, _NUMBERS["D"]),
    "DDDD": (3, _NUMBERS["DDD"]),
    "ww": (2, _NUMBERS["w"]),
    "WW": (2, _NUMBERS["W"]),
    "YY": (2, lambda m: m.year % 100),
    "YYYY": (4, lambda m: m.year),
    "YYYYY": (5, lambda m: m.year),
    "gg": (2, lambda m: _week(m)[0] % 100),
    "gggg": (4, lambda m: _week(m)[0]),
    "ggggg": (5, lambda m: _week(m)[0]),
    "GG": (2, lambda m: m.isocalendar().year % 100),
    "GGGG": (4, lambda m: m.isocalendar().year),
    "GGGGG": (5, lambda m: m.isocalendar().year),
    "HH": (2, lambda m: m.hour),
    "hh": (2, _hour12),
    "kk": (2, lambda m: m.hour or 24),
    "mm": (2, lambda m: m.minute),
    "ss": (2, lambda m: m.second),
    "SS": (2, lambda m: _milliseconds(m) // 10),
    "SSS": (3, _milliseconds),
}
_PARTS: dict[str, Part] = {
    "MMM": lambda m: MONTHS[m.month - 1][:3],
    "MMMM": lambda m: MONTHS[m.month - 1],
    "dd": lambda m: DAYS[_weekday(m)][:2],
    "ddd": lambda m: DAYS[_weekday(m)][:3],
    "dddd": lambda m: DAYS[_weekday(m)],
    "e": lambda m: str(_weekday(m)),
    "E": lambda m: str(m.isoweekday()),
    "Y": lambda m: str(m.year),
    "YYYYYY": lambda m: f"+{m.year:06d}",
    "A": lambda m: "AM" if m.hour < 12 else "PM",
    "a": lambda m: "am" if m.hour < 12 else "pm",
    "H": lambda m: str(m.hour),
    "h": lambda m: str(_hour12(m)),
    "k": lambda m: str(m.hour or 24),
    "m": lambda m: str(m.minute),
    "s": lambda m: str(m.second),
    "S": lambda m: str(_milliseconds(m) // 100),
    "hmm": lambda m: f"{_hour12(m)}{m.minute:02d}",
    "hmmss": lambda m: f"{_hour12(m)}{m.minute:02d}{m.second:02d}",
    "Hmm": lambda m: f"{m.hour}{m.minute:02d}",
    "Hmmss": lambda m: f"{m.hour}{m.minute:02d}{m.second:02d}",
    "Z": lambda m: _offset(m, ":"),
    "ZZ": lambda m: _offset(m, ""),
    "X": lambda m: str(int(m.timestamp())),
    "x": lambda m: str(int(m.timestamp()) * 1000 + _milliseconds(m)),
}


def _padded(width: int, number: Callable[[datetime], int]) -> Part:
    return lambda moment: f"{number(moment):0{width}d}"


def _fraction(width: int) -> Part:
    """A fraction of a second of more than three digits: the milliseconds, and zeros."""
    return lambda moment: f"{_milliseconds(moment):03d}".ljust(width, "0")


def _ordinal_of(number: Callable[[datetime], int]) -> Part:
    return lambda moment: _ordinal(number(moment))


_PARTS |= {name: _padded(1, number) for name, number in _NUMBERS.items()}
_PARTS |= {f"{name}o": _ordinal_of(number) for name, number in _NUMBERS.items()}
_PARTS |= {name: _padded(*rule) for name, rule in _PADDED.items()}
_PARTS |= {"S" * width: _fraction(width) for width in range(4, 10)}
