"""Protections, each with the change that removes it from the code and the test that must then fail."""

from __future__ import annotations

from typing import NamedTuple


class Mutant(NamedTuple):
    """One protection: ``file`` contains ``old`` once; replaced by ``new``, ``test`` fails."""

    protection: str
    file: str
    old: str
    new: str
    test: str


_LAMBDA = "include/lambda/csv_to_parquet"
_SPARK = "include/datalake_spark"

MUTANTS = [
    Mutant(
        "a Parquet object replaces only the one that its worker saw",
        f"{_LAMBDA}/csv_to_parquet.py",
        'condition: dict[str, Any] = {"IfMatch": present.etag} if present else {"IfNoneMatch": "*"}',
        "condition: dict[str, Any] = {}",
        "tests/faults/test_notifications.py"
        "::test_events_of_several_versions_in_any_order_end_with_the_newest_also_when_a_slow_worker_dies",
    ),
    Mutant(
        "after the write the CSV is looked at again",
        f"{_LAMBDA}/csv_to_parquet.py",
        "        if _source_etag(source) == etag:\n",
        "        if etag:\n",
        "tests/lambda_/test_csv_to_parquet.py::test_the_newest_bytes_win_when_the_source_is_replaced_meanwhile",
    ),
    Mutant(
        "a CSV with a column that is not declared is refused",
        f"{_LAMBDA}/csv_faults.py",
        "    if unknown:\n        return",
        "    if not table.columns:\n        return",
        "tests/lambda_/test_typed_csv.py::test_a_file_that_is_not_what_it_should_be_is_described",
    ),
    Mutant(
        "a load is DMS's fresh end, not yesterday's",
        "include/lake_airflow/triggers/dms.py",
        "status in ENDED and is_fresh(task, datetime.fromisoformat(since)) and not is_of_the_load_before",
        "status in ENDED",
        "tests/lake_airflow/operators/test_dms.py::test_yesterdays_end_is_no_end",
    ),
    Mutant(
        "only what Firehose refused is sent again",
        "include/kdg/sender.py",
        'refused = [event for event, outcome in outcomes if "ErrorCode" in outcome]',
        "refused = list(events)",
        "tests/kdg/test_sender.py::TestPartialFailures::test_only_failed_records_are_sent_again",
    ),
    Mutant(
        "Firehose acknowledges what is on disk",
        "local/aws/firehose/stream.py",
        "        for segment, position in written:\n            segment.sync(position)\n",
        "",
        "tests/local/aws/firehose/test_durability.py::TestDurability::test_what_is_acknowledged_is_on_disk",
    ),
    Mutant(
        "a line's film_id is a number, not something like one",
        "include/datalake/events.py",
        "if type(film_id) is not int or",
        "if not isinstance(film_id, int) or",
        "tests/datalake/test_events.py::test_impossible_values",
    ),
    Mutant(
        "an event's time is bounded by its object's name",
        "include/datalake/events.py",
        "        if time > self._latest:\n            raise RejectedError(LATE)\n",
        "",
        "tests/datalake/test_events.py::test_time_is_judged_by_the_objects_name",
    ),
    Mutant(
        "a name from the future hides no object",
        "include/datalake/landing.py",
        "return min(time, now.replace(microsecond=0)) - LOOK_BACK if time else None",
        "return time - LOOK_BACK if time else None",
        "tests/datalake/test_landing.py::test_a_name_from_the_future_hides_nothing",
    ),
    Mutant(
        "a commit is validated against what it was computed from",
        f"{_SPARK}/iceberg.py",
        '        writer = writer.option("validate-from-snapshot-id", str(snapshot))\n',
        "        pass\n",
        "tests/faults/test_commits.py::test_of_two_writers_at_one_moment_one_is_refused_reads_afresh_and_commits",
    ),
    Mutant(
        "a commit sees rows that others added (serializable isolation)",
        f"{_SPARK}/iceberg.py",
        '.option("isolation-level", "serializable")',
        '.option("isolation-level", "snapshot")',
        "tests/glue/test_enrichment.py::test_a_twin_that_commits_meanwhile_is_noticed",
    ),
    Mutant(
        "an object is done when its account is kept, not when a row of it is seen",
        f"{_SPARK}/committed_tables.py",
        "rows = self.read(RECONCILIATION).where(asked)",
        "rows = self.read(QUARANTINE).where(asked)",
        "tests/glue/test_reconciliation.py::test_a_run_that_breaks_off_after_any_commit_is_made_good",
    ),
    Mutant(
        "an object whose rows are not its lines is not done",
        f"{_SPARK}/reconciliation.py",
        "    if wrong:\n        raise Unreconciled",
        "    if not tallies:\n        raise Unreconciled",
        "tests/glue/test_reconciliation.py::test_an_object_whose_rows_are_not_its_lines_is_not_done",
    ),
    Mutant(
        "a copy within 48 hours does not count",
        f"{_SPARK}/redelivery.py",
        "WINDOW_SECONDS = 48 * 3600",
        "WINDOW_SECONDS = 47 * 3600",
        "tests/glue/test_table_rows.py::test_which_copies_count",
    ),
    Mutant(
        "bad lines are too many by their share",
        "include/glue/streaming_films.py",
        "report.bad <= max_bad_share * report.sent",
        "report.bad <= report.sent",
        "tests/glue/test_streaming_films.py::test_bad_lines_are_too_many_by_share_and_number",
    ),
    Mutant(
        "a retry after a lost worker finds its Glue run",
        "include/lake_airflow/operators/glue.py",
        'self._own_run(name, context["dag_run"].run_after) or self._start(name, context)',
        "self._start(name, context)",
        "tests/lake_airflow/operators/test_glue.py::test_a_run_whose_start_nobody_could_note_is_found_by_its_tasks_name",
    ),
    Mutant(
        "a month that the catalog lacks is crawled",
        "include/lake_airflow/crawls.py",
        "sorted(set(landed) - set(crawled))",
        "sorted(set(landed) - set(landed))",
        "tests/lake_airflow/test_crawls.py::test_an_unknown_month_is_crawled_at_once",
    ),
    Mutant(
        "a query over the cut-off is not paid for twice",
        "include/lake_airflow/defaults.py",
        "return RetryDecision.fail(final) if final else RetryDecision.default()",
        "return RetryDecision.default()",
        "tests/dags/test_runs.py::TestReport::test_a_query_over_the_limit_is_paid_once",
    ),
]
