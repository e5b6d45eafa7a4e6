"""The streaming_films job as Glue calls it: arguments, report, share of bad lines."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest

from datalake.months import Month
from datalake_spark.report import Report
from glue import streaming_films
from glue.streaming_films import parse_arguments, too_many_bad
from tests.glue.lake import TestLake, at, event, key, lines

OWN = ["--landing_bucket", "l", "--curated_bucket", "c", "--JOB_RUN_ID", "jr_1"]
NOON = at("2026-11-10 12:00:00")


def test_arguments_of_aws_are_passed_over() -> None:
    aws = ["--JOB_NAME", "x", "--JOB_ID", "j", "--TempDir", "s3://t", "--conf", "a=b --conf c=d", "--clean_bucket", "x"]
    args = parse_arguments([*aws, *OWN, "--mode", "rebuild", "--month", "2026-10"])
    assert (args.mode, args.month, args.max_bad_share) == ("rebuild", Month.parse("2026-10"), 0.05)
    assert args.JOB_RUN_ID == "jr_1"


@pytest.mark.parametrize(
    "wrong",
    [
        [],
        ["--mode", "daily"],
        ["--mode", "rebuild"],
        ["--mode", "hourly", "--month", "2026-10"],
        ["--mode", "rebuild", "--month", "2026-13"],
        ["--mode", "rebuild", "--month", "10/2026"],
    ],
)
def test_wrong_arguments_are_refused(wrong: list[str]) -> None:
    with pytest.raises(SystemExit):
        parse_arguments([*OWN, *wrong])


def test_bad_lines_are_too_many_by_share_and_number() -> None:
    def judged(enriched: int, **reasons: int) -> str | None:
        report = Report(film_category_snapshot=1, landed=enriched + sum(reasons.values()), reasons=Counter(reasons))
        return too_many_bad(report, 0.05)

    assert judged(0, broken=99) is None
    assert judged(1900, broken=100) is None
    assert judged(0, duplicate=5000, superseded=10, broken=50) is None
    assert judged(1880, broken=100, early=20) == "120 of 2,000 lines are bad, more than 5.0%: 100 broken, 20 early"


def test_a_line_of_a_thousand_events_counts_as_so_many() -> None:
    report = Report(film_category_snapshot=1, landed=1001, reasons=Counter(several=1), more_bad_values=999)
    assert too_many_bad(report, 0.05) == "1,000 of 2,000 lines are bad, more than 5.0%: 1 several"


@pytest.mark.spark
@pytest.mark.services
def test_a_run_of_too_many_bad_lines_commits_and_reports_them(lake: TestLake) -> None:
    lake.put(key(NOON), lines(*[event(NOON)] * 1) + b"bad\n" * 100)
    places = ["--landing_bucket", lake.landing, "--curated_bucket", lake.curated]
    streaming_films.main([*places, "--JOB_RUN_ID", "jr_a", "--mode", "hourly"])
    assert (lake.films().count(), lake.quarantine().count()) == (1, 100)
    streaming_films.main([*places, "--JOB_RUN_ID", "jr_b", "--mode", "hourly"])
    assert [_report(lake, run)["landed"] for run in ("jr_a", "jr_b")] == [101, 0]
    judged = [_report(lake, run)["too_many_bad"] for run in ("jr_a", "jr_b")]
    assert judged == ["100 of 101 lines are bad, more than 5.0%: 100 not JSON", None]
    streaming_films.main(
        [*places, "--JOB_RUN_ID", "jr_c", "--mode", "rebuild", "--month", "2026-11", "--max_bad_share", "1"]
    )
    report = _report(lake, "jr_c")
    assert report == report | {
        "job": "streaming_films",
        "run_id": "jr_c",
        "mode": "rebuild",
        "months": ["2026-11"],
        "objects": 1,
        "landed": 101,
        "enriched": 1,
        "quarantined": 100,
        "duplicates": 0,
        "unknown_films": 0,
        "too_many_bad": None,
    }
    assert report["snapshot_id"] != _report(lake, "jr_b")["snapshot_id"] == _report(lake, "jr_a")["snapshot_id"]
    summary = lake.snapshot_summary(report["snapshot_id"])
    assert summary["film-category-snapshot-id"] == str(report["film_category_snapshot"])
    assert summary["run-id"] == "jr_c"


def _report(lake: TestLake, run_id: str) -> dict[str, Any]:
    reply = lake.s3.get_object(Bucket=lake.curated, Key=f"runs/streaming_films/{run_id}.json")
    report: dict[str, Any] = json.loads(reply["Body"].read())
    return report
