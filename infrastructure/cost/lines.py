"""The lines of the bill: what each type of resource costs. An unknown type raises ``UnknownResource``."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

from infrastructure.cost.month import Month, Resource
from infrastructure.cost.usage import GIB, HOURS_A_MONTH, MIB, fact

DAYS_A_MONTH = HOURS_A_MONTH / 24

_NETWORK = ("VPC", "Subnet", "RouteTable", "SubnetRouteTableAssociation",
            "SecurityGroup", "SecurityGroupIngress", "SecurityGroupEgress")  # fmt: skip
FREE = {
    "AWS::KMS::Alias": "an alias costs nothing",
    "AWS::SNS::Subscription": "its e-mails are a line of the topic",
    "AWS::SNS::TopicPolicy": "policies cost nothing",
    "AWS::Events::Rule": "AWS services' own events cost nothing",
    "AWS::Scheduler::Schedule": "one call a day; a million cost a dollar",
    "AWS::S3::BucketPolicy": "policies cost nothing",
    "AWS::SQS::QueuePolicy": "policies cost nothing",
    "AWS::IAM::Role": "IAM costs nothing",
    "AWS::IAM::ManagedPolicy": "IAM costs nothing",
    "AWS::SecretsManager::SecretTargetAttachment": "part of its secret",
    "AWS::SecretsManager::RotationSchedule": "its function runs for seconds; its requests are a line of the secret",
    "AWS::SecretsManager::ResourcePolicy": "policies cost nothing",
    "AWS::RDS::DBParameterGroup": "settings cost nothing",
    "AWS::RDS::DBSubnetGroup": "settings cost nothing",
    **{f"AWS::EC2::{kind}": "networks cost nothing by themselves" for kind in _NETWORK},
    "AWS::DMS::ReplicationSubnetGroup": "settings cost nothing",
    "AWS::DMS::Certificate": "settings cost nothing",
    "AWS::DMS::Endpoint": "endpoints cost nothing; the instance does",
    "AWS::DMS::ReplicationTask": "runs on the instance; its log is a few MB",
    "AWS::Logs::LogStream": "part of its group",
    "AWS::Lambda::EventSourceMapping": "its polls are lines of the queue, its invocations of the function",
    "AWS::Lambda::Permission": "policies cost nothing",
    "AWS::Glue::SecurityConfiguration": "settings cost nothing",
    "AWS::Glue::Database": "the catalog's first million objects and requests a month cost nothing",
    "AWS::Athena::NamedQuery": "saved queries cost nothing until they run",
}


class UnknownResource(Exception):
    """It is not known what a resource costs, or that it is free."""


Part = tuple[str, str, float, str]  # what, price, quantity, unit


def _key(_: Resource, month: Month) -> Iterator[Part]:
    yield "key", "kms.key", month.share, "month"
    yield "requests", "kms.request", month.usage.kms_requests, "request"


def _topic(_: Resource, month: Month) -> Iterator[Part]:
    yield "e-mails", "sns.email", fact("e_mails") * month.share, "request"


def _bucket(bucket: Resource, month: Month) -> Iterator[Part]:
    zone = bucket.name.removesuffix("Bucket").lower()
    if zone not in month.usage.requests:
        raise UnknownResource(f"{bucket.name}: usage.py does not know what is stored in it")
    per_event = {"landing": fact("event"), "curated": fact("row")}.get(zone, 0.0)
    kept = months_kept(bucket.properties, "streaming/" if zone == "landing" else "")
    stored = month.usage.stored(per_event, kept)
    if zone == "curated":
        # compaction rewrites every row once; the first copy is kept for the days of snapshots and old versions
        copies = (fact("snapshots") + noncurrent_days(bucket.properties)) / DAYS_A_MONTH
        stored += month.usage.events * per_event / GIB * copies * month.share
    put, get = month.usage.requests[zone]
    yield "storage", "s3.storage", stored, "GB-month"
    yield "PUT and LIST requests", "s3.put", put, "request"
    yield "GET requests", "s3.get", get, "request"


def months_kept(properties: dict[str, Any], prefix: str) -> float:
    """The months after which objects with the prefix expire by the bucket's rules; infinite without such a rule."""
    rules = properties.get("LifecycleConfiguration", {}).get("Rules", [])
    days = [
        float(rule["ExpirationInDays"])
        for rule in rules
        if rule.get("Status") == "Enabled" and "ExpirationInDays" in rule and prefix.startswith(rule.get("Prefix", ""))
    ]
    return min(days, default=math.inf) / DAYS_A_MONTH


def noncurrent_days(properties: dict[str, Any]) -> float:
    """The days for which the bucket keeps deleted and replaced objects."""
    expirations = [one.get("NoncurrentVersionExpiration") for one in properties["LifecycleConfiguration"]["Rules"]]
    return min(float(one["NoncurrentDays"]) for one in expirations if one)


def _secret(_: Resource, month: Month) -> Iterator[Part]:
    yield "secret", "secretsmanager.secret", month.share, "month"
    yield "requests", "secretsmanager.request", fact("secret_reads") * month.share, "request"


def _database(database: Resource, month: Month) -> Iterator[Part]:
    properties = database.properties
    has_standby = str(properties.get("MultiAZ", "false")).lower() == "true"
    running = month.hours * (fact("restarted") if month.stops_nightly else 1)
    name = f"rds.mysql.{properties['DBInstanceClass']}{'.multi-az' if has_standby else ''}"
    yield "instance, with a stand-by" if has_standby else "instance", name, running, "hour"
    size = float(properties["AllocatedStorage"]) * (2 if has_standby else 1)
    yield "storage (as much backup costs nothing)", "rds.storage.gp3", size * month.share, "GB-month"


def _replication(instance: Resource, month: Month) -> Iterator[Part]:
    yield "instance", instance.properties["ReplicationInstanceClass"], month.hours, "hour"
    beyond = max(0.0, float(instance.properties.get("AllocatedStorage", 50)) - 50)  # T2 and T3 include 50 GB
    yield "storage beyond the 50 GB included", "dms.storage", beyond * month.share, "GB-month"


def _queue(queue: Resource, month: Month) -> Iterator[Part]:
    polled = month.is_polled(queue)
    yield "Lambda's polls", "sqs.request", month.usage.polls if polled else 0.0, "request"
    yield "messages", "sqs.request", 3 * month.usage.csv_objects if polled else 0.0, "request"


def _function(function: Resource, month: Month) -> Iterator[Part]:
    if function.name != "CsvFunction":
        raise UnknownResource(f"{function.name}: usage.py does not know how often it runs")
    gb = float(function.properties["MemorySize"]) / 1024
    yield "duration", "lambda.x86", month.usage.csv_objects * fact("lambda") * gb, "GB-second"
    yield "requests", "lambda.request", month.usage.csv_objects, "request"


def _stream(_: Resource, month: Month) -> Iterator[Part]:
    yield "records, each rounded up to 5 KB", "firehose.direct-put", month.usage.firehose_gb, "GB"


def _log_group(group: Resource, month: Month) -> Iterator[Part]:
    parts = ("DagProcessing", "Scheduler", "Task", "WebServer", "Worker")
    known = {f"Mwaa{part}Logs": fact("airflow_log") * MIB * month.share for part in parts} | {
        "CsvFunctionLogs": month.usage.csv_objects * 10_000,  # bytes: a few lines for each CSV
        "EventsLogs": 0.0,  # errors only
    }
    if group.name not in known:
        raise UnknownResource(f"{group.name}: lines.py does not know how much is logged there")
    yield "lines", "logs.ingest", known[group.name] / GIB, "GB"


def _alarm(alarm: Resource, month: Month) -> Iterator[Part]:
    metrics = sum("MetricStat" in one for one in alarm.properties.get("Metrics", [])) or 1
    yield "metrics watched", "cloudwatch.alarm", metrics * month.share, "month"


def _crawler(_: Resource, month: Month) -> Iterator[Part]:
    hours = month.usage.crawls * fact("crawler") * fact("crawl_minimum") / 3600
    yield "crawls, ten minutes each at least", "glue.dpu", hours, "DPU-hour"


def dpu_hours(job: Resource, cpu_seconds: float) -> float:
    """The DPU hours that a run of a job is billed for.

    With auto-scaling idle workers are released: the start takes two (the driver and one more), and the work takes the
    same CPU seconds on any number of workers. Without it all workers are billed from start to end.
    """
    workers = float(job.properties["NumberOfWorkers"])
    if job.properties["DefaultArguments"].get("--enable-auto-scaling") == "true":
        workers = 2.0
    return workers * run_seconds(workers, cpu_seconds) / 3600


def run_seconds(workers: float, cpu_seconds: float) -> float:
    """The seconds that a run is billed for; all workers except the driver share the work."""
    return max(fact("glue_minimum"), fact("glue_start") + cpu_seconds / ((workers - 1) * fact("dpu_cores")))


def _job(job: Resource, month: Month) -> Iterator[Part]:
    usage = month.usage
    work = {
        "FilmCategoryJob": [("runs", fact("loads"), 0.0)],
        "StreamingFilmsJob": [
            ("hourly runs", usage.runs, usage.enrich_cpu),
            ("rebuilds", usage.rebuilds, usage.rebuild_cpu),
        ],
        "MaintainLakeJob": [("runs on Sundays", usage.maintenances, usage.maintain_cpu)],
    }
    if job.name not in work:
        raise UnknownResource(f"{job.name}: lines.py does not know how often it runs")
    if job.properties["WorkerType"] != "G.1X":
        raise UnknownResource(f"{job.name}: lines.py knows workers of type G.1X only")
    for what, runs, cpu in work[job.name]:
        yield what, "glue.dpu", runs * dpu_hours(job, cpu), "DPU-hour"
    logged = sum(runs for _, runs, _ in work[job.name]) * fact("run_log") * MIB / GIB
    yield "log", "logs.ingest", logged, "GB"


def _workgroup(workgroup: Resource, month: Month) -> Iterator[Part]:
    cutoff = float(workgroup.properties["WorkGroupConfiguration"]["BytesScannedCutoffPerQuery"])
    for what, (count, size) in month.usage.queries.items():
        billed = min(max(size, fact("athena_minimum") * MIB), cutoff)  # a cancelled query is billed too
        yield f"queries: {what}", "athena.scan", count * billed / 2**40, "TB"


def _endpoint(endpoint: Resource, month: Month) -> Iterator[Part]:
    is_interface = endpoint.properties.get("VpcEndpointType") == "Interface"
    zones = len(endpoint.properties.get("SubnetIds", [])) if is_interface else 0
    yield "interface, in each of its zones", "vpc.interface-endpoint", zones * month.hours, "hour"


def _nat(_: Resource, month: Month) -> Iterator[Part]:
    yield "gateway", "vpc.nat-gateway", month.hours, "hour"


def _airflow(environment: Resource, month: Month) -> Iterator[Part]:
    size = environment.properties["EnvironmentClass"]
    yield "environment", f"mwaa.{size}", month.hours, "hour"
    extra = float(environment.properties.get("MinWorkers", 1)) - 1
    if extra:
        yield "workers beyond the first", f"mwaa.worker.{size}", extra * month.hours, "hour"
    yield "metadata database", "mwaa.metadata", fact("metadata") * month.share, "GB-month"


PRICED: dict[str, Callable[[Resource, Month], Iterator[Part]]] = {
    "AWS::Athena::WorkGroup": _workgroup,
    "AWS::CloudWatch::Alarm": _alarm,
    "AWS::DMS::ReplicationInstance": _replication,
    "AWS::EC2::NatGateway": _nat,
    "AWS::EC2::VPCEndpoint": _endpoint,
    "AWS::Glue::Crawler": _crawler,
    "AWS::Glue::Job": _job,
    "AWS::KMS::Key": _key,
    "AWS::KinesisFirehose::DeliveryStream": _stream,
    "AWS::Lambda::Function": _function,
    "AWS::Logs::LogGroup": _log_group,
    "AWS::MWAA::Environment": _airflow,
    "AWS::RDS::DBInstance": _database,
    "AWS::S3::Bucket": _bucket,
    "AWS::SNS::Topic": _topic,
    "AWS::SQS::Queue": _queue,
    "AWS::SecretsManager::Secret": _secret,
}
