"""S3 refuses the Lambda function and Airflow's hooks, or the function's disk is full."""

from __future__ import annotations

import random
from contextlib import suppress
from types import SimpleNamespace

import boto3
import pytest
from airflow.providers.amazon.aws.hooks.s3 import S3Hook
from botocore.exceptions import BotoCoreError, ClientError

import csv_to_parquet
from datalake.months import Month
from lake_airflow.new_events import landed_months
from tests.faults.catalogue import Fault, fault
from tests.faults.disk import full_disk
from tests.support.aws_services import Emulator
from tests.support.clean_zone import Zone, categories, notification
from tests.support.faulty_proxy import CUT, UNAVAILABLE, Plan, Proxy

pytestmark = pytest.mark.services


@fault(Fault.THROTTLING)
def test_s3_answers_503_to_the_function(zone: Zone, proxy: Proxy, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = random.Random(seed)
    old, new = list(range(1, 4)), list(range(1, rng.randint(5, 500)))
    zone.put(categories(old))
    csv_to_parquet.handler(notification(zone.landing), None)
    zone.put(categories(new))
    monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
    boto3.setup_default_session()
    csv_to_parquet._s3.cache_clear()
    proxy.plan = Plan(rng, {UNAVAILABLE: rng.choice([0.05, 0.2, 0.5]), CUT: 0.05})
    tries = 0
    while tries < 3:  # those of the queue
        tries += 1
        with suppress(RuntimeError):
            csv_to_parquet.handler(notification(zone.landing), None)
            assert zone.ids() == new
            break
        assert zone.ids() in (old, new)
    proxy.plan = None
    csv_to_parquet.handler(notification(zone.landing), None)  # as a redrive sends it
    assert zone.ids() == new


@fault(Fault.THROTTLING)
def test_s3_answers_503_to_airflows_hooks(
    emulator: Emulator, aws_environment: dict[str, str], proxy: Proxy, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng, s3 = random.Random(seed), emulator.client("s3")
    bucket = f"hooks-{seed}"
    monkeypatch.setattr("lake_airflow.new_events.LAKE", SimpleNamespace(landing_bucket=bucket))
    s3.create_bucket(Bucket=bucket)
    count = rng.randint(1, 12)
    months = sorted({Month(str(rng.randint(2024, 2026)), f"{rng.randint(1, 12):02}") for _ in range(count)})
    for month in months:
        s3.put_object(Bucket=bucket, Key=f"streaming/{month.folder}x", Body=b"{}")
    for name, value in aws_environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
    proxy.plan = Plan(rng, {UNAVAILABLE: rng.choice([0.05, 0.2, 0.5]), CUT: 0.05})
    for _ in range(3):  # the tries of a task
        try:
            assert landed_months(S3Hook()) == months
            break
        except (ClientError, BotoCoreError):
            continue
    proxy.plan = None
    assert landed_months(S3Hook()) == months


@fault(Fault.DISK_FULL)
def test_the_functions_disk_is_full(zone: Zone, seed: int) -> None:
    rng = random.Random(seed)
    old, new = list(range(1, 4)), rng.sample(range(1, 250), 200)
    zone.put(categories(old))
    csv_to_parquet.handler(notification(zone.landing), None)
    before = zone.parquet()
    zone.put(categories(new))
    with full_disk(rng.randint(100, 1500)), pytest.raises(RuntimeError, match="File too large"):
        csv_to_parquet.handler(notification(zone.landing), None)
    assert zone.parquet() == before
    csv_to_parquet.handler(notification(zone.landing), None)
    assert zone.ids() == sorted(new)
