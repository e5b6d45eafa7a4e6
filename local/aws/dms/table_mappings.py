"""Table mappings of a DMS task: which tables are loaded, and which of their columns are left out.

Source of the rules: DMS user guide, "Using table mapping to specify task settings" and "Wildcards in table mapping"
(% is any text, _ one character, [ab] one of these). Served: selection rules (include, exclude, explicit) and the
transformation remove-column. Everything else (filters, load-order, rename, other rule types) is refused by name.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

Patterns = tuple[re.Pattern[str], ...]
_RULE_KEYS = {"rule-type", "rule-id", "rule-name", "object-locator", "rule-action"}
_SELECTIONS = {"include", "exclude", "explicit"}


@dataclass(frozen=True)
class TableMappings:
    """Parsed rules. Patterns are pairs (schema, table) or triples (schema, table, column)."""

    included: tuple[Patterns, ...]
    excluded: tuple[Patterns, ...]
    removed: tuple[Patterns, ...]

    @classmethod
    def parse(cls, text: str) -> TableMappings:
        """Read the JSON of ``TableMappings``; raises ValueError naming what is wrong or not served."""
        try:
            rules = json.loads(text)["rules"]
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f'table mappings must be JSON with a list "rules": {error!r}') from None
        included: list[Patterns] = []
        excluded: list[Patterns] = []
        removed: list[Patterns] = []
        seen: set[str] = set()
        for rule in rules:
            name = f"rule {rule.get('rule-id')!r}"
            for key in ("rule-id", "rule-name"):
                if not rule.get(key) or f"{key}={rule[key]}" in seen:
                    raise ValueError(f"{name}: {key} must be given and unique")
                seen.add(f"{key}={rule[key]}")
            kind, action = rule.get("rule-type"), rule.get("rule-action")
            if kind == "selection" and action in _SELECTIONS:
                _refuse_unknown(rule, name, _RULE_KEYS | {"filters"})
                if rule.get("filters"):
                    raise ValueError(f"{name}: filters are not served by the local home")
                patterns = _locator(rule, name, ("schema-name", "table-name"), literal=action == "explicit")
                (excluded if action == "exclude" else included).append(patterns)
            elif kind == "transformation" and action == "remove-column" and rule.get("rule-target") == "column":
                _refuse_unknown(rule, name, _RULE_KEYS | {"rule-target"})
                removed.append(_locator(rule, name, ("schema-name", "table-name", "column-name")))
            else:
                raise ValueError(f"{name}: {kind} with action {action!r} is not served by the local home")
        if not included:
            raise ValueError("table mappings must have a selection rule that includes tables")
        return cls(tuple(included), tuple(excluded), tuple(removed))

    def selects(self, schema: str, table: str) -> bool:
        """Whether the table is loaded; an exclusion wins over every inclusion."""
        return _matches_any(self.included, schema, table) and not _matches_any(self.excluded, schema, table)

    def removes(self, schema: str, table: str, column: str) -> bool:
        """Whether the column is left out."""
        return _matches_any(self.removed, schema, table, column)


def _locator(rule: dict[str, Any], name: str, keys: tuple[str, ...], literal: bool = False) -> Patterns:
    locator = rule.get("object-locator") or {}
    _refuse_unknown(locator, f"{name}, object-locator", {*keys, "table-type"})
    if locator.get("table-type", "table") != "table":
        raise ValueError(f"{name}: table-type {locator['table-type']!r} is not served, MySQL sources load tables only")
    missing = [key for key in keys if not locator.get(key)]
    if missing:
        raise ValueError(f"{name}: object-locator needs {missing[0]}")
    return tuple(re.compile(re.escape(locator[key]) if literal else _wildcards_to_regex(locator[key])) for key in keys)


def _refuse_unknown(given: dict[str, Any], name: str, known: set[str]) -> None:
    unknown = sorted(given.keys() - known)
    if unknown:
        raise ValueError(f"{name}: {unknown[0]!r} is not served by the local home")


def _wildcards_to_regex(pattern: str) -> str:
    """A pattern with DMS's wildcards as a regular expression."""
    parts = re.split(r"(%|_|\[[^\]]+\])", pattern)
    translated = {"%": ".*", "_": "."}
    return "".join(
        translated.get(part) or (f"[{re.escape(part[1:-1])}]" if part.startswith("[") else re.escape(part))
        for part in parts
    )


def _matches_any(patterns: tuple[Patterns, ...], *names: str) -> bool:
    return any(all(p.fullmatch(n) for p, n in zip(group, names, strict=True)) for group in patterns)
