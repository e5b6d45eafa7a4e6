from __future__ import annotations

import json
from datetime import datetime, timedelta
from urllib.parse import unquote_plus

import pytest
from airflow.providers.amazon.aws.hooks.s3 import S3Hook
from airflow.sdk.exceptions import AirflowFailException

import csv_to_parquet
from datalake.tables import SAKILA
from lake_airflow import replication
from lake_airflow.defaults import LAKE
from local.engines.waiting import wait_until
from tests.support.aws_services import Emulator

LONG_AGO = "2020-01-01T00:00:00+00:00"
ROWS = dict.fromkeys(SAKILA, 10)


def put_csv(emulator: Emulator, key: str, body: str = "film_id\n1\n") -> str:
    """Land a CSV as DMS would; returns its ETag."""
    etag: str = emulator.client("s3").put_object(Bucket=LAKE.landing_bucket, Key=f"dms/sakila/{key}", Body=body)["ETag"]
    return etag


def put_parquet(emulator: Emulator, key: str, source_etag: str) -> None:
    """Publish a Parquet as the Lambda would."""
    emulator.client("s3").put_object(
        Bucket=LAKE.clean_bucket, Key=f"sakila/{key}", Body=b"PAR1", Metadata={"source-etag": source_etag}
    )


def keys(emulator: Emulator, bucket: str) -> list[str]:
    listed = emulator.client("s3").list_objects_v2(Bucket=bucket)
    return [entry["Key"] for entry in listed.get("Contents", [])]


def _next_second(emulator: Emulator) -> str:
    """A moment by S3's own clock, which shows whole seconds, later than all that is there."""
    put_csv(emulator, "film/clock.txt")
    before = _modified(emulator, "film/clock.txt")

    def passed() -> bool:
        put_csv(emulator, "film/clock.txt")
        return _modified(emulator, "film/clock.txt") > before

    wait_until(passed, 60, "the second did not pass")
    now = _modified(emulator, "film/clock.txt")
    emulator.client("s3").delete_object(Bucket=LAKE.landing_bucket, Key="dms/sakila/film/clock.txt")
    return now.isoformat()


def _modified(emulator: Emulator, key: str) -> datetime:
    found = emulator.client("s3").head_object(Bucket=LAKE.landing_bucket, Key=f"dms/sakila/{key}")
    modified: datetime = found["LastModified"]
    return modified


@pytest.mark.services
class TestFiles:
    def test_only_csv_objects_of_known_tables_count(self, lake_services: Emulator) -> None:
        for key in ("film/LOAD00000001.csv", "film/LOAD0000000A.csv", "film/notes.txt", "unheard_of/LOAD00000001.csv"):
            put_csv(lake_services, key)
        fresh = replication.fresh_csvs(S3Hook(), LONG_AGO)
        assert [csv.key for csv in fresh] == [f"dms/sakila/film/LOAD0000000{number}.csv" for number in "1A"]
        assert {csv.table for csv in fresh} == {"film"}

    def test_what_an_earlier_load_wrote_is_not_fresh(self, lake_services: Emulator) -> None:
        put_csv(lake_services, "film/LOAD00000001.csv")
        written = _modified(lake_services, "film/LOAD00000001.csv")  # S3 keeps whole seconds only
        assert replication.fresh_csvs(S3Hook(), written.replace(microsecond=999_999).isoformat())
        assert not replication.fresh_csvs(S3Hook(), (written + timedelta(seconds=1)).isoformat())

    def test_the_parquet_is_the_one_that_the_lambda_writes(self, lake_services: Emulator) -> None:
        put_csv(lake_services, "film_category/LOAD0000001F.csv")
        (csv,) = replication.fresh_csvs(S3Hook(), LONG_AGO)
        table, key = csv_to_parquet.target(csv.key)
        assert csv.parquet_key == key
        assert SAKILA[csv.table] == table

    def test_converted_means_made_from_this_very_csv(self, lake_services: Emulator) -> None:
        etag = put_csv(lake_services, "film/LOAD00000001.csv")
        csvs = replication.fresh_csvs(S3Hook(), LONG_AGO)
        assert replication.unconverted(S3Hook(), csvs) == csvs  # no Parquet
        put_parquet(lake_services, "film/LOAD00000001.parquet", etag)
        assert replication.unconverted(S3Hook(), csvs) == []
        put_csv(lake_services, "film/LOAD00000001.csv", "film_id\n2\n")
        again = replication.fresh_csvs(S3Hook(), LONG_AGO)
        assert replication.unconverted(S3Hook(), again) == again  # the Parquet of the CSV before

    def test_tables_without_a_file_get_their_header(self, lake_services: Emulator) -> None:
        for name in SAKILA:
            if name not in ("staff", "store"):
                put_csv(lake_services, f"{name}/LOAD00000001.csv")
        assert replication.put_headers_for_empty_tables(LONG_AGO) == ["staff", "store"]
        s3 = lake_services.client("s3")
        body = s3.get_object(Bucket=LAKE.landing_bucket, Key="dms/sakila/store/LOAD00000001.csv")["Body"].read()
        assert body == b"store_id,manager_staff_id,address_id,last_update\n"
        assert replication.put_headers_for_empty_tables(LONG_AGO) == []

    def test_what_a_longer_load_left_over_goes_and_the_rest_stays(self, lake_services: Emulator) -> None:
        put_csv(lake_services, "film/LOAD00000002.csv")
        put_csv(lake_services, "not_of_mysql/LOAD00000001.csv")
        started = _next_second(lake_services)
        etag = put_csv(lake_services, "film/LOAD00000001.csv")
        put_parquet(lake_services, "film/LOAD00000001.parquet", etag)
        put_parquet(lake_services, "film/LOAD00000002.parquet", "the tail of a longer load")
        put_parquet(lake_services, "not_of_mysql/LOAD00000001.parquet", "somebody else's")
        assert replication.remove_superseded(started) == [
            "dms/sakila/film/LOAD00000002.csv",
            "sakila/film/LOAD00000002.parquet",
        ]
        assert keys(lake_services, LAKE.landing_bucket) == [
            "dms/sakila/film/LOAD00000001.csv",
            "dms/sakila/not_of_mysql/LOAD00000001.csv",
        ]
        assert keys(lake_services, LAKE.clean_bucket) == [
            "sakila/film/LOAD00000001.parquet",
            "sakila/not_of_mysql/LOAD00000001.parquet",
        ]
        assert replication.remove_superseded(started) == []

    def test_the_lambda_understands_a_notification_sent_again(self, lake_services: Emulator) -> None:
        put_csv(lake_services, "film/LOAD 00+1.csv")
        (csv,) = replication.fresh_csvs(S3Hook(), LONG_AGO)
        message = json.loads(replication.object_created(csv, "us-east-1"))
        (source,) = csv_to_parquet.sources(message)
        assert (source.bucket, source.key) == (LAKE.landing_bucket, csv.key)
        assert unquote_plus(message["Records"][0]["s3"]["object"]["key"]) == csv.key


class TestRowsAgree:
    def test_all_agree(self) -> None:
        assert replication.rows_agree(ROWS, ROWS, ROWS) == "16 tables, 160 rows: MySQL = DMS = clean zone"

    def test_dms_says_nothing_of_an_empty_table(self) -> None:
        mysql = {**ROWS, "store": 0}
        dms = {name: rows for name, rows in mysql.items() if rows}
        assert replication.rows_agree(mysql, dms, mysql)

    @pytest.mark.parametrize(
        ("dms", "clean", "message"),
        [
            ({"film": 9}, {"film": 9}, "film: MySQL 10, DMS 9, clean 9"),
            ({}, {"film": 20}, "film: MySQL 10, DMS 10, clean 20"),
            ({"film": 9}, {}, "film: MySQL 10, DMS 9, clean 10"),
        ],
    )
    def test_a_difference_names_table_and_numbers(
        self, dms: dict[str, int], clean: dict[str, int], message: str
    ) -> None:
        with pytest.raises(AirflowFailException, match=message) as error:
            replication.rows_agree(ROWS, {**ROWS, **dms}, {**ROWS, **clean})
        assert "actor" not in str(error.value)

    def test_a_missing_table_is_a_difference(self) -> None:
        clean = {name: rows for name, rows in ROWS.items() if name != "film"}
        with pytest.raises(AirflowFailException, match="film: MySQL 10, DMS 10, clean None"):
            replication.rows_agree(ROWS, ROWS, clean)
