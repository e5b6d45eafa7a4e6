from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from typing import Any

import pytest

from infrastructure.cost.bill import Bill, estimate
from infrastructure.cost.lines import FREE, PRICED, UnknownResource, dpu_hours, months_kept, run_seconds
from infrastructure.cost.month import Month, Resource
from infrastructure.cost.prices import read_prices
from infrastructure.cost.usage import FACTS, IDLE, LOADS, TEN, THOUSAND, Load

STREAM = Resource(
    "Events",
    "AWS::KinesisFirehose::DeliveryStream",
    {"ExtendedS3DestinationConfiguration": {"BufferingHints": {"SizeInMBs": 1, "IntervalInSeconds": 60}}},
)


def usd(load: Load, resource: Resource, *others: Resource) -> dict[str, float]:
    """The lines of one resource, by name."""
    there = [resource, *others] if resource == STREAM else [STREAM, resource, *others]
    bill = Bill(Month.of(there, load), read_prices())
    return {line.what: line.usd for line in bill.lines if line.resource == resource.name}


def job(name: str, **properties: Any) -> Resource:
    given = {"WorkerType": "G.1X", "NumberOfWorkers": 2, "DefaultArguments": {}} | properties
    return Resource(name, "AWS::Glue::Job", given)


@pytest.mark.parametrize("load", LOADS, ids=lambda load: load.name)
@pytest.mark.parametrize("environment", ["dev", "prod", "local"])
def test_every_resource_of_the_template_has_a_line_or_a_reason_to_be_free(environment: str, load: Load) -> None:
    bill = estimate(environment, load)
    priced = {line.resource for line in bill.lines}
    for resource in bill.month.resources:
        assert (resource.name in priced) != (resource.type in FREE), resource


def test_nothing_is_both_free_and_priced() -> None:
    assert not FREE.keys() & PRICED.keys()
    assert all(FREE.values())


@pytest.mark.parametrize(
    "resource",
    [
        Resource("Cluster", "AWS::EKS::Cluster", {}),
        Resource("OtherBucket", "AWS::S3::Bucket", {}),
        Resource("OtherFunction", "AWS::Lambda::Function", {"MemorySize": 128}),
        Resource("OtherLogs", "AWS::Logs::LogGroup", {}),
        job("OtherJob"),
        job("FilmCategoryJob", WorkerType="G.2X"),
    ],
    ids=lambda resource: resource.name,
)
def test_what_the_model_does_not_know_fails(resource: Resource) -> None:
    with pytest.raises(UnknownResource, match=resource.name):
        usd(IDLE, resource)


@pytest.mark.parametrize(
    ("load", "dollars"),
    [(IDLE, 0), (TEN, 3.634), (THOUSAND, 363.407)],  # 125.31 and 12,531.28 GB at 0.029
)
def test_firehose(load: Load, dollars: float) -> None:
    assert usd(load, STREAM)["records, each rounded up to 5 KB"] == pytest.approx(dollars, abs=0.001)


@pytest.mark.parametrize(
    ("load", "dollars"),
    [
        (IDLE, 0),
        (TEN, 16.182),  # 730 runs x 2 DPU x (90 + 2.736 / 4) s / 3,600 x 0.44
        (THOUSAND, 28.266),  # (90 + 273.6 / 4) s
    ],
)
def test_the_hourly_job(load: Load, dollars: float) -> None:
    assert usd(load, job("StreamingFilmsJob"))["hourly runs"] == pytest.approx(dollars, abs=0.001)


@pytest.mark.parametrize(("load", "dollars"), [(IDLE, 0), (TEN, 4.547), (THOUSAND, 4.547)])  # 31 x 2 DPU x 1/6 h x 0.44
def test_the_crawler_is_billed_ten_minutes_a_day(load: Load, dollars: float) -> None:
    [crawls] = usd(load, Resource("Crawler", "AWS::Glue::Crawler", {})).values()
    assert crawls == pytest.approx(dollars, abs=0.001)


@pytest.mark.parametrize(
    ("load", "storage", "put"),
    [
        (IDLE, 0, 0.0097),  # 30 x 16 CSV, 1,460 listings
        (TEN, 0.0543, 0.2287),  # + 43,800 objects
        (THOUSAND, 5.4323, 2.4282),  # 472.37 GB / 2 x 0.023; + 483,706 objects
    ],
)
def test_the_landing_bucket(load: Load, storage: float, put: float) -> None:
    lines = usd(load, Resource("LandingBucket", "AWS::S3::Bucket", {}))
    assert lines["storage"] == pytest.approx(storage, abs=0.001)
    assert lines["PUT and LIST requests"] == pytest.approx(put, abs=0.001)


def workgroup(cutoff: int) -> Resource:
    configuration = {"WorkGroupConfiguration": {"BytesScannedCutoffPerQuery": str(cutoff)}}
    return Resource("Workgroup", "AWS::Athena::WorkGroup", configuration)


def test_a_cancelled_query_is_billed_up_to_the_cutoff() -> None:
    lines = usd(dataclasses.replace(THOUSAND, month=12), workgroup(2**30))
    assert lines["queries: top states"] == pytest.approx(730 / 1024 * 5)  # a GB each instead of 21


@pytest.mark.parametrize(
    ("load", "find", "categories"),
    [
        (IDLE, 0.0348, 0),  # 730 x 10 MB at 5 USD a TB
        (TEN, 0.0348, 0.0348),  # 26.28 million rows x 0.51 bytes / 2 are less than 10 MB
        (THOUSAND, 0.0348, 2.2246),  # 670,140,000 bytes x 730 / 2^40 x 5
    ],
)
def test_athena_bills_ten_megabytes_at_least(load: Load, find: float, categories: float) -> None:
    lines = usd(load, workgroup(10 * 2**30))
    assert lines["queries: find_new_objects"] == pytest.approx(find, abs=0.0001)
    assert lines["queries: top categories"] == pytest.approx(categories, abs=0.0001)


def database(**properties: Any) -> Resource:
    given = {"DBInstanceClass": "db.t4g.small", "AllocatedStorage": "20"} | properties
    return Resource("MySql", "AWS::RDS::DBInstance", given)


def test_the_database() -> None:
    one = usd(IDLE, database())
    assert one["instance"] == pytest.approx(23.36)  # 730 x 0.032
    assert one["storage (as much backup costs nothing)"] == pytest.approx(2.30)  # 20 x 0.115
    two = usd(IDLE, database(MultiAZ="true"))
    assert two["instance, with a stand-by"] == pytest.approx(47.45)  # 730 x 0.065
    assert two["storage (as much backup costs nothing)"] == pytest.approx(4.60)


def test_a_database_that_is_stopped_each_night_runs_a_day_in_eight() -> None:
    target = {"Arn": {"Fn::Sub": "arn:${AWS::Partition}:scheduler:::aws-sdk:rds:stopDBInstance"}}
    schedule = Resource("NightlyStop", "AWS::Scheduler::Schedule", {"Target": target})
    stopped = usd(IDLE, database(), schedule)
    assert stopped["instance"] == pytest.approx(23.36 / 8)
    assert stopped["storage (as much backup costs nothing)"] == pytest.approx(2.30)


@pytest.mark.parametrize(("size", "dollars"), [(20, 0), (50, 0), (60, 1.15)])
def test_a_dms_instance_includes_fifty_gigabytes(size: int, dollars: float) -> None:
    instance = {"ReplicationInstanceClass": "dms.t3.micro", "AllocatedStorage": size}
    lines = usd(IDLE, Resource("DmsInstance", "AWS::DMS::ReplicationInstance", instance))
    assert lines["instance"] == pytest.approx(13.14)  # 730 x 0.018
    assert lines["storage beyond the 50 GB included"] == pytest.approx(dollars)


def test_only_the_queue_that_a_lambda_waits_at_is_polled() -> None:
    arn = "${CsvQueue.Arn}"
    mapping = Resource("CsvEvents", "AWS::Lambda::EventSourceMapping", {"EventSourceArn": arn})
    queue, dead = (Resource(name, "AWS::SQS::Queue", {}) for name in ("CsvQueue", "CsvDeadLetterQueue"))
    assert usd(IDLE, queue, mapping)["Lambda's polls"] == pytest.approx(0.2628)  # 657,000 at 0.40 a million
    assert usd(IDLE, dead, mapping)["Lambda's polls"] == 0


@pytest.mark.parametrize(
    ("properties", "dollars"),
    [
        ({"VpcEndpointType": "Gateway"}, 0),
        ({"VpcEndpointType": "Interface", "SubnetIds": [{"Ref": "A"}]}, 7.30),
        ({"VpcEndpointType": "Interface", "SubnetIds": [{"Ref": "A"}, {"Ref": "B"}]}, 14.60),
    ],
)
def test_an_interface_is_billed_in_each_zone(properties: dict[str, Any], dollars: float) -> None:
    [line] = usd(IDLE, Resource("Endpoint", "AWS::EC2::VPCEndpoint", properties)).values()
    assert line == pytest.approx(dollars)


def test_an_alarm_is_billed_by_the_metrics_it_watches() -> None:
    metrics = [{"Id": "a", "MetricStat": {}}, {"Id": "b", "MetricStat": {}}, {"Id": "sum", "Expression": "a+b"}]
    assert usd(IDLE, Resource("One", "AWS::CloudWatch::Alarm", {})) == {"metrics watched": 0.1}
    assert usd(IDLE, Resource("Two", "AWS::CloudWatch::Alarm", {"Metrics": metrics})) == {"metrics watched": 0.2}


def test_airflow_on_aws() -> None:
    environment = {"EnvironmentClass": "mw1.small", "MinWorkers": 2}
    assert usd(IDLE, Resource("Airflow", "AWS::MWAA::Environment", environment)) == {
        "environment": pytest.approx(357.70),  # 730 x 0.49
        "workers beyond the first": pytest.approx(40.15),  # 730 x 0.055
        "metadata database": pytest.approx(1.0),
    }


@pytest.mark.parametrize(
    ("workers", "cpu", "seconds"), [(2, 0, 90), (2, 400, 190), (11, 400, 100)]  # the driver does not share the work
)  # fmt: skip
def test_how_long_a_run_is(workers: float, cpu: float, seconds: float) -> None:
    assert run_seconds(workers, cpu) == seconds


def test_with_auto_scaling_idle_workers_are_not_billed() -> None:
    fixed, scaling = (
        job("Job", NumberOfWorkers=11, DefaultArguments={"--enable-auto-scaling": flag}) for flag in ("false", "true")
    )
    assert dpu_hours(fixed, 400) == pytest.approx(11 * 100 / 3600)
    assert dpu_hours(scaling, 400) == pytest.approx(2 * 190 / 3600)


def rules() -> Iterator[tuple[list[dict[str, Any]], str, float]]:
    yield [], "streaming/", math.inf
    yield [{"Status": "Enabled", "ExpirationInDays": 365}], "streaming/", 12
    yield [{"Status": "Disabled", "ExpirationInDays": 365}], "streaming/", math.inf
    yield [{"Status": "Enabled", "ExpirationInDays": 30, "Prefix": "athena/"}], "streaming/", math.inf
    yield [{"Status": "Enabled", "ExpirationInDays": 730, "Prefix": "streaming/"}], "streaming/", 24


@pytest.mark.parametrize(("given", "prefix", "months"), rules())
def test_what_a_lifecycle_rule_lets_expire(given: list[dict[str, Any]], prefix: str, months: float) -> None:
    assert months_kept({"LifecycleConfiguration": {"Rules": given}}, prefix) == pytest.approx(months)


def test_a_run_is_billed_for_a_minute_at_least(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FACTS, "glue_start", FACTS["glue_start"]._replace(value=20))
    assert run_seconds(2, 0) == 60
    assert run_seconds(2, 400) == 120
