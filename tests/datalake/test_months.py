from __future__ import annotations

from datetime import UTC, datetime

import pytest

from datalake.months import UNKNOWN_MONTH, Month, months_between


def test_one_month_in_all_its_forms() -> None:
    month = Month.parse("2026-02")
    assert month == Month.of_time(datetime(2026, 2, 28, 23, 59, tzinfo=UTC)) == Month("2026", "02")
    assert (month.key, str(month), month.folder) == ("2026-02", "2026-02", "2026/02/")


@pytest.mark.parametrize("text", ["", "2026-13", "2026-00", "2026-1", "2026-10-01", "2026/10", "2026-10\n", "٢٠٢٦-10"])
def test_what_is_not_a_month_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="yyyy-MM"):
        Month.parse(text)


def test_no_user_can_name_the_unknown_month_but_its_key_can_be_read() -> None:
    with pytest.raises(ValueError, match="yyyy-MM"):
        Month.parse(UNKNOWN_MONTH.key)
    assert Month.of_key(UNKNOWN_MONTH.key) == UNKNOWN_MONTH
    assert UNKNOWN_MONTH.folder == ""


def test_months_between_two_times() -> None:
    first, last = datetime(2025, 11, 30, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC)
    assert [month.key for month in months_between(first, last)] == ["2025-11", "2025-12", "2026-01", "2026-02"]
    assert max(months_between(first, last)) == Month("2026", "02")
