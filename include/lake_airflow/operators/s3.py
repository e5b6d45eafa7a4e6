"""Wait until the Lambda has converted every CSV of a DMS load."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

from airflow.providers.amazon.aws.hooks.s3 import S3Hook
from airflow.providers.amazon.aws.hooks.sqs import SqsHook
from airflow.providers.amazon.aws.sensors.base_aws import AwsBaseSensor
from airflow.providers.amazon.aws.utils.mixins import aws_template_fields
from airflow.sdk.exceptions import AirflowSensorTimeout

from lake_airflow import replication
from lake_airflow.defaults import LAKE

if TYPE_CHECKING:
    from airflow.sdk import Context
    from mypy_boto3_sqs import SQSClient


class CsvConvertedSensor(AwsBaseSensor[S3Hook]):
    """Succeeds when every CSV of a DMS load has a Parquet object that was made from this version of the CSV (its ETag).

    Notifications can be lost (a dead-letter queue was emptied by hand, an emulator was killed). So every
    ``resend_after`` seconds the notifications of the objects that are not converted are sent again. The Lambda may get
    one twice, as it then writes the same object again.

    ``started`` is the load's start (ISO-8601). After ``timeout`` the error names the objects that are not converted.
    """

    aws_hook_class = S3Hook
    template_fields: Sequence[str] = aws_template_fields("started")

    def __init__(self, *, started: str, resend_after: int = 120, **kwargs: Any) -> None:
        super().__init__(mode="poke", **kwargs)
        self.started = started
        self.resend_after = resend_after
        self._sent = time.monotonic()
        self._missing: list[replication.LandedCsv] = []

    def execute(self, context: Context) -> Any:
        """Wait; raises AirflowSensorTimeout with the CSV objects that were not converted in time."""
        self._sent = time.monotonic()
        try:
            return super().execute(context)
        except AirflowSensorTimeout as error:
            keys = ", ".join(csv.key for csv in self._missing)
            raise AirflowSensorTimeout(
                f"Not converted within {self.timeout:.0f} s: {keys}. "
                f"The queue {LAKE.csv_dead_letter_queue} and the log of {LAKE.csv_function} say why."
            ) from error

    def poke(self, context: Context) -> bool:  # noqa: ARG002 - the signature of sensors
        """Compare each Parquet's source ETag with that of its CSV; send notifications again if it takes too long."""
        csvs = replication.fresh_csvs(self.hook, self.started)
        self._missing = replication.unconverted(self.hook, csvs)
        self.log.info("%d of %d CSV objects are converted", len(csvs) - len(self._missing), len(csvs))
        if self._missing and time.monotonic() - self._sent > self.resend_after:
            self._send_again()
        return not self._missing

    def _send_again(self) -> None:
        sqs = SqsHook(aws_conn_id=self.aws_conn_id, region_name=self.region_name)
        queue_url = cast("SQSClient", sqs.conn).get_queue_url(QueueName=LAKE.csv_queue)["QueueUrl"]
        for csv in self._missing:
            self.log.warning("Sending the notification of %s again", csv.key)
            message = replication.object_created(csv, self.hook.conn_region_name)
            sqs.send_message(queue_url, message)
        self._sent = time.monotonic()
