"""What the function takes for a notification, and which objects it is of."""

from __future__ import annotations

from typing import Any

import pytest

from csv_to_parquet import handler, sources, target
from tests.lambda_.buckets import notified, queued


def test_test_events_are_answered() -> None:
    assert handler({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "b"}, None) == {"written": []}
    assert handler(queued({"Event": "s3:TestEvent"}), None) == {"batchItemFailures": []}


@pytest.mark.parametrize(
    ("event", "message"),
    [
        ({}, "it has no Records"),
        ({"Records": []}, "it has no Records"),
        ({"detail": {}}, r"only \['detail'\]"),
        ({"Records": [{"eventSource": "aws:sns"}]}, "not a notification of a created S3 object: aws:sns"),
        ({"Records": [{"eventSource": "aws:s3", "eventName": "ObjectRemoved:Delete"}]}, "ObjectRemoved:Delete"),
    ],
)
def test_l3_what_is_no_notification_is_an_error_that_says_so(event: dict[str, Any], message: str) -> None:
    with pytest.raises(RuntimeError, match=message):
        handler(event, None)


@pytest.mark.parametrize(
    "key",
    [
        "film.csv",
        "sakila/film/LOAD00000001.csv",
        "dms/film/LOAD00000001.csv",
        "dms/mysql/user/LOAD00000001.csv",
        "dms/sakila/film/deeper/LOAD00000001.csv",
        "dms/sakila/film/LOAD00000001.csv.gz",
        "dms/sakila/film/.csv.",
        "x/dms/sakila/film/LOAD00000001.csv",
    ],
)
def test_l3_a_foreign_key_is_an_error_that_names_it(key: str) -> None:
    with pytest.raises(ValueError, match="is not dms/sakila/<table>/<file>.csv") as caught:
        target(key)
    assert repr(key) in str(caught.value)


def test_a_table_that_is_not_declared_is_named() -> None:
    with pytest.raises(ValueError, match="table 'ratings' is not declared in datalake/tables.py"):
        target("dms/sakila/ratings/LOAD00000001.csv")


def test_keys_arrive_encoded() -> None:
    (source,) = sources(notified("dms/sakila/film/a b+c é.csv"))
    assert source.key == "dms/sakila/film/a b+c é.csv"
    assert target(source.key)[1] == "sakila/film/a b+c é.parquet"
