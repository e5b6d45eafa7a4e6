"""The list of faults, its tests and its document agree."""

from __future__ import annotations

import json

from tests.faults import report
from tests.faults.catalogue import Fault


def test_every_fault_has_a_test_and_every_mark_is_a_fault() -> None:
    assert report.tests_of_faults().keys() == {which.name for which in Fault}


def test_numbers_are_unique_and_in_order() -> None:
    numbers = [which.number for which in Fault]
    assert numbers == sorted(set(numbers))


def test_the_document_says_what_the_tests_and_their_last_run_say() -> None:
    written = report.DOCUMENT.read_text()
    assert written == report.document(written, json.loads(report.RESULTS.read_text())), "run: make docs"


def test_a_fault_that_failed_once_or_was_not_tried_fails_the_whole() -> None:
    def whole(**changed: dict[str, float] | None) -> tuple[str, bool]:
        faults = {which.name: {"runs": 2, "passed": 2, "seconds": 3.0} for which in Fault} | changed
        found = {name: ends for name, ends in faults.items() if ends}
        return report.summary({"date": "2026-11-23", "seeds": 2, "minutes": 1.0, "faults": found})

    total = len(Fault)
    text, passed = whole()
    assert passed
    assert text.endswith(f"{total}/{total} faults. Last run: 2026-11-23, 2 seeds, {2 * total} runs, 1 minutes.")
    for changed in ({"TWO_WRITERS": {"runs": 2, "passed": 1, "seconds": 3.0}}, {"TWO_WRITERS": None}):
        text, passed = whole(**changed)
        assert not passed
        assert f"{total - 1}/{total} faults" in text
        assert next(line for line in text.splitlines() if line.startswith("FAILED")).split()[1] == "10"


def test_runs_beside_each_other_are_one_record() -> None:
    ends = {"runs": 2, "passed": 1, "seconds": 1.25}
    lanes = [
        {"date": "2026-11-23", "seeds": 2, "minutes": 1.0, "faults": {"TWO_WRITERS": ends, "WORKER_KILLED": ends}},
        {"date": "2026-11-23", "seeds": 2, "minutes": 3.0, "faults": {"TWO_WRITERS": ends}},
    ]
    found = report.merged(lanes)["faults"]
    assert found == {"TWO_WRITERS": {"runs": 4, "passed": 2, "seconds": 2.5}, "WORKER_KILLED": {**ends, "seconds": 1.2}}
