"""Wait until the Lambda has converted every CSV of a DMS load."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

from airflow.providers.amazon.aws.hooks.s3 import S3Hook
from airflow.providers.amazon.aws.hooks.sqs import SqsHook
from airflow.providers.amazon.aws.sensors.base_aws import AwsBaseSensor
from airflow.providers.amazon.aws.utils.mixins import aws_template_fields
from airflow.sdk.exceptions import AirflowSensorTimeout

from lake_airflow import replication
from lake_airflow.defaults import LAKE
from lake_airflow.operators.time_left import time_left
from lake_airflow.triggers.s3 import CsvConvertedTrigger

if TYPE_CHECKING:
    from airflow.sdk import Context
    from mypy_boto3_sqs import SQSClient


class CsvConvertedSensor(AwsBaseSensor[S3Hook]):
    """Succeeds when every CSV of a DMS load has a Parquet object that was made from this version of the CSV (its ETag).

    Notifications can be lost (a dead-letter queue was emptied by hand, an emulator was killed). So every
    ``resend_after`` seconds the notifications of the objects that are not converted are sent again. The Lambda may get
    one twice, as it then writes the same object again.

    ``started`` is the load's start (ISO-8601). After ``timeout`` the error names the objects that are not converted.
    While it waits it is deferred and holds no worker's slot.
    """

    aws_hook_class = S3Hook
    template_fields: Sequence[str] = aws_template_fields("started")

    def __init__(self, *, started: str, resend_after: int = 120, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.started = started
        self.resend_after = resend_after

    def execute(self, context: Context, event: str | None = None) -> None:
        """Defer until all is converted; raises AirflowSensorTimeout with the CSV objects that were not in time.

        ``event`` is given when the task is taken up again: all is converted, or it is time to send notifications again.
        """
        csvs = replication.fresh_csvs(self.hook, self.started)
        missing = replication.unconverted(self.hook, csvs)
        self.log.info("%d of %d CSV objects are converted", len(csvs) - len(missing), len(csvs))
        if not missing:
            return
        left = time_left(context, timedelta(seconds=self.timeout))
        if not left:
            raise AirflowSensorTimeout(
                f"Not converted within {self.timeout:.0f} s: {', '.join(csv.key for csv in missing)}. "
                f"The queue {LAKE.csv_dead_letter_queue} and the log of {LAKE.csv_function} say why."
            )
        if event is not None:
            self._send_again(missing)
        until = datetime.now(UTC) + min(left, timedelta(seconds=self.resend_after))
        trigger = CsvConvertedTrigger(self.poke_interval, started=self.started, until=until.isoformat())
        self.defer(trigger=trigger, method_name="execute", timeout=time_left(context))

    def _send_again(self, missing: list[replication.LandedCsv]) -> None:
        sqs = SqsHook(aws_conn_id=self.aws_conn_id, region_name=self.region_name)
        queue_url = cast("SQSClient", sqs.conn).get_queue_url(QueueName=LAKE.csv_queue)["QueueUrl"]
        for csv in missing:
            self.log.warning("Sending the notification of %s again", csv.key)
            message = replication.object_created(csv, self.hook.conn_region_name)
            sqs.send_message(queue_url, message)
