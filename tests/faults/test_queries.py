"""A query over the workgroup's cut-off, through Airflow's own operator and a real Trino."""

from __future__ import annotations

import io
import logging
import random
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from airflow.providers.amazon.aws.operators.athena import AthenaOperator
from airflow.sdk.definitions.retry_policy import RetryAction
from airflow.sdk.exceptions import AirflowException

from lake_airflow.athena import ATHENA
from lake_airflow.defaults import DEFAULT_ARGS
from local.engines.waiting import wait_until
from tests.faults.catalogue import Fault, fault
from tests.support.athena_home import DATA, DATABASE, RESULTS, WORKGROUP, AthenaHome

pytestmark = [pytest.mark.trino, pytest.mark.services]
CUTOFF = 10_000_000  # bytes, the least that AWS allows
QUERIES = {
    "select": "SELECT max({column}) FROM wide WHERE {column} > {value}",
    "rows": "SELECT {column} FROM wide WHERE {column} > {value}",  # its result is being written when it is cut off
    "ctas": "CREATE TABLE too_much AS SELECT * FROM wide WHERE {column} > {value}",
    "unload": f"UNLOAD (SELECT * FROM wide WHERE {{column}} > {{value}}) TO 's3://{RESULTS}/athena/unloaded/' "
    "WITH (format = 'PARQUET')",
}


@pytest.fixture(scope="module")
def home(trino_home: AthenaHome) -> AthenaHome:
    """The home with a Parquet table of 48 MB in three files, 16 MB a column."""
    s3 = trino_home.root("s3")
    noise = np.random.default_rng(7)
    for number in range(3):
        buffer = io.BytesIO()
        table = pa.table({name: pa.array(noise.random(700_000)) for name in "abc"})
        pq.write_table(table, buffer, compression="none", use_dictionary=False)
        s3.put_object(Bucket=DATA, Key=f"wide/{number}.parquet", Body=buffer.getvalue())
    columns = ", ".join(f"{name} double" for name in "abc")
    serde = "org.apache.hadoop.hive.ql.io.parquet"
    trino_home.root("glue").create_table(
        DatabaseName=DATABASE,
        TableInput={
            "Name": "wide",
            "TableType": "EXTERNAL_TABLE",
            "StorageDescriptor": {
                "Columns": [dict(zip(("Name", "Type"), one.split(), strict=True)) for one in columns.split(", ")],
                "Location": f"s3://{DATA}/wide/",
                "InputFormat": f"{serde}.MapredParquetInputFormat",
                "OutputFormat": f"{serde}.MapredParquetOutputFormat",
                "SerdeInfo": {"SerializationLibrary": f"{serde}.serde.ParquetHiveSerDe"},
            },
        },
    )
    return trino_home


@fault(Fault.ATHENA_CUTOFF)
@pytest.mark.parametrize("kind", QUERIES)
def test_a_query_over_the_workgroups_cutoff(
    home: AthenaHome, seed: int, kind: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    rng = random.Random(seed)
    athena, s3 = home.root("athena"), home.root("s3")
    athena.update_work_group(WorkGroup=WORKGROUP, ConfigurationUpdates={"BytesScannedCutoffPerQuery": CUTOFF})
    monkeypatch.setenv("AWS_ENDPOINT_URL_ATHENA", home.lake.settings.server_url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    before = _queries(athena), _results(s3)
    query_too_much = AthenaOperator(
        task_id="query_too_much",
        query=QUERIES[kind].format(column=rng.choice("abc"), value=rng.random() / 10),
        **{**ATHENA, "workgroup": WORKGROUP, "database": DATABASE, "sleep_time": 1},
    )
    context: Any = {"task": query_too_much, "ti": None}
    with pytest.raises(AirflowException) as error:
        query_too_much.execute(context)
    assert "CANCELLED" in str(error.value)
    assert "Bytes scanned limit was exceeded" in str(error.value)
    decision = DEFAULT_ARGS["retry_policy"].evaluate(error.value, 1, DEFAULT_ARGS["retries"])
    assert decision.action == RetryAction.FAIL, "no try is paid for twice"
    with caplog.at_level(logging.INFO):
        for callback in query_too_much.on_failure_callback:
            callback(context)
    (query,) = _queries(athena) - before[0]
    assert query == query_too_much.query_execution_id
    scanned = athena.get_query_execution(QueryExecutionId=query)["QueryExecution"]["Statistics"]["DataScannedInBytes"]
    assert scanned > CUTOFF
    assert f"{query} scanned {scanned:,} bytes" in caplog.text
    wait_until(
        lambda: _results(s3) == before[1], 10, "what it wrote was not removed"
    )  # Trino removes it on its own time
    tables = home.root("glue").get_tables(DatabaseName=DATABASE)["TableList"]
    assert "too_much" not in {table["Name"] for table in tables}


def _queries(athena: Any) -> set[str]:
    pages = athena.get_paginator("list_query_executions").paginate(WorkGroup=WORKGROUP)
    return {query for page in pages for query in page["QueryExecutionIds"]}


def _results(s3: Any) -> set[str]:
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=RESULTS)
    return {item["Key"] for page in pages for item in page.get("Contents", [])}
