"""The names of all resources of the lake, made by one rule.

``infrastructure/template.yaml`` states the same rule with ``!Sub``; a test compares every name. ARNs are not kept: they
are looked up at run time.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

PROJECT = "sakila-streams"

LANDING, CLEAN, CURATED, RESULTS, ARTIFACTS = "landing", "clean", "curated", "results", "artifacts"
AIRFLOW = "airflow"  # not a zone: the bucket of DAGs and code for Airflow on AWS

# Glue databases
SAKILA_DATABASE, LANDING_DATABASE, CURATED_DATABASE = "sakila", "landing", "curated"

# Key prefixes, each with its closing slash
DMS_PREFIX = "dms/"  # landing: DMS writes dms/<schema>/<table>/LOAD00000001.csv
STREAMING_PREFIX = "streaming/"  # landing: Firehose writes streaming/yyyy/MM/<object>
STREAMING_ERRORS_PREFIX = "streaming-errors/"  # landing: what Firehose could not deliver
REPAIRED_PREFIX = "streaming-repaired/"  # landing: repaired events, streaming-repaired/yyyy/MM/
REPAIRS_PREFIX = "repairs/"  # landing: lines that an operator has repaired, repairs/yyyy-MM/<any name>
RUNS_PREFIX = "runs/"  # curated: one JSON report a job run, runs/<job stem>/<job run id>.json
SAKILA_SCRIPTS_PREFIX = "sakila/"  # artifacts: sakila-schema.sql and sakila-data.sql
JOBS_PREFIX = "jobs/"  # artifacts: job scripts and the zip of include/datalake
LAMBDA_PREFIX = "lambda/"  # artifacts: the function's zip
QUERY_RESULTS_PREFIX = "athena/"  # results: what the workgroup writes
REPORTS_PREFIX = "reports/"  # results: what report_film_popularity publishes

SAKILA_SCHEMA = "sakila"  # the MySQL schema

# Airflow's pool of one slot, deferred tasks included: the Glue jobs that write streaming_films run one at a time
# (MaxConcurrentRuns=1), so the others wait here, where the queue can be seen.
STREAMING_FILMS_POOL = "streaming_films"


@dataclass(frozen=True)
class Lake:
    """Resource names of one deployment.

    ``environment`` (dev, prod, local, ...) distinguishes the deployments in one account; ``suffix``, such as the
    account id, makes bucket names globally unique. Both consist of lower-case letters, digits and hyphens.
    """

    environment: str
    suffix: str

    @classmethod
    def from_environment(cls) -> Lake:
        """Read LAKE_ENVIRONMENT and LAKE_SUFFIX; raises KeyError naming the one that is missing."""
        return cls(environment=os.environ["LAKE_ENVIRONMENT"], suffix=os.environ["LAKE_SUFFIX"])

    def name(self, thing: str) -> str:
        """Name of a resource that is unique within an account, e.g. ``sakila-streams-dev-events``."""
        return f"{PROJECT}-{self.environment}-{thing}"

    def bucket(self, zone: str) -> str:
        """Bucket of a zone, e.g. ``sakila-streams-dev-landing-123456789012``."""
        return f"{PROJECT}-{self.environment}-{zone}-{self.suffix}"

    @property
    def stack(self) -> str:
        """CloudFormation stack."""
        return f"{PROJECT}-{self.environment}"

    @property
    def landing_bucket(self) -> str:
        """DMS's CSV files and Firehose's events."""
        return self.bucket(LANDING)

    @property
    def clean_bucket(self) -> str:
        """Parquet of the Sakila tables."""
        return self.bucket(CLEAN)

    @property
    def curated_bucket(self) -> str:
        """Iceberg tables and run reports."""
        return self.bucket(CURATED)

    @property
    def results_bucket(self) -> str:
        """Athena's results and the reports."""
        return self.bucket(RESULTS)

    @property
    def artifacts_bucket(self) -> str:
        """Code and SQL scripts; created by the deployment, not by the template."""
        return self.bucket(ARTIFACTS)

    @property
    def airflow_bucket(self) -> str:
        """DAGs and code for Airflow on AWS."""
        return self.bucket(AIRFLOW)

    @property
    def mwaa_environment(self) -> str:
        """Airflow on AWS."""
        return self.name(AIRFLOW)

    @property
    def key_alias(self) -> str:
        """Alias of the KMS key."""
        return f"alias/{self.name('lake')}"

    @property
    def mysql_instance(self) -> str:
        """RDS instance."""
        return self.name("sakila")

    @property
    def mysql_secret(self) -> str:
        """Secret with host, port, username, password, dbname (RDS's own JSON keys)."""
        return self.name("mysql")

    @property
    def dms_instance(self) -> str:
        """DMS replication instance."""
        return self.name("dms")

    @property
    def dms_source(self) -> str:
        """DMS endpoint of MySQL."""
        return self.name("mysql-source")

    @property
    def dms_target(self) -> str:
        """DMS endpoint of the landing bucket."""
        return self.name("landing-target")

    @property
    def dms_task(self) -> str:
        """DMS full-load task."""
        return self.name("sakila-full-load")

    @property
    def delivery_stream(self) -> str:
        """Firehose stream of the partners' events."""
        return self.name("events")

    @property
    def csv_queue(self) -> str:
        """SQS queue of new CSV objects."""
        return self.name("csv-objects")

    @property
    def csv_dead_letter_queue(self) -> str:
        """SQS queue of CSV objects that could not be converted."""
        return self.name("csv-objects-dead-letters")

    @property
    def csv_dead_letters_alarm(self) -> str:
        """CloudWatch alarm: the dead-letter queue is not empty."""
        return self.name("csv-dead-letters")

    @property
    def alarm_topic(self) -> str:
        """SNS topic that every alarm is published to."""
        return self.name("alarms")

    @property
    def csv_function(self) -> str:
        """Lambda function that converts CSV to Parquet."""
        return self.name("csv-to-parquet")

    @property
    def crawler(self) -> str:
        """Glue crawler over the landed events."""
        return self.name("streaming-events")

    @property
    def film_category_job(self) -> str:
        """Glue job that denormalises film, film_category and category."""
        return self.name("film-category")

    @property
    def streaming_films_job(self) -> str:
        """Glue job that enriches events."""
        return self.name("streaming-films")

    @property
    def maintain_lake_job(self) -> str:
        """Glue job that maintains the Iceberg tables."""
        return self.name("maintain-lake")

    @property
    def workgroup(self) -> str:
        """Athena workgroup."""
        return self.name("analysts")

    def role(self, component: str) -> str:
        """IAM role of a component: lambda, firehose, dms, crawler, jobs, maintenance, airflow, analyst, producer."""
        return self.name(component)
