"""Bytes scanned, and the workgroup's limit on them, on a real Trino."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from local.aws.athena.query_run import OVER_THE_LIMIT
from tests.support.athena_home import DATA, DATABASE, RESULTS, WORKGROUP, content, done, reason, rows, run

pytestmark = pytest.mark.trino


@pytest.fixture(scope="module")
def heavy(s3: Any, glue: Any) -> dict[str, int]:
    """A Parquet table of 24 MB in three files; how many bytes its column ``noise`` has."""
    random = np.random.default_rng(7)
    column_bytes = 0
    for number in range(3):
        buffer = io.BytesIO()
        table = pa.table({"id": pa.array(range(1_000_000)), "noise": pa.array(random.random(1_000_000))})
        pq.write_table(table, buffer, compression="none", use_dictionary=False)
        metadata = pq.read_metadata(buffer)
        groups = [metadata.row_group(index) for index in range(metadata.num_row_groups)]
        column_bytes += sum(group.column(1).total_compressed_size for group in groups)
        s3.put_object(Bucket=DATA, Key=f"heavy/{number}.parquet", Body=buffer.getvalue())
    glue.create_table(
        DatabaseName=DATABASE,
        TableInput={
            "Name": "heavy",
            "TableType": "EXTERNAL_TABLE",
            "StorageDescriptor": {
                "Columns": [{"Name": "id", "Type": "bigint"}, {"Name": "noise", "Type": "double"}],
                "Location": f"s3://{DATA}/heavy/",
                "InputFormat": "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat",
                "OutputFormat": "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat",
                "SerdeInfo": {"SerializationLibrary": "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe"},
            },
        },
    )
    return {"noise": column_bytes}


def test_bytes_scanned_are_the_column_chunks(athena: Any, heavy: dict[str, int]) -> None:
    athena.update_work_group(WorkGroup=WORKGROUP, ConfigurationUpdates={"RemoveBytesScannedCutoffPerQuery": True})
    execution = done(athena, "select max(noise) from heavy where id >= 0")
    both = execution["Statistics"]["DataScannedInBytes"]
    alone = done(athena, "select max(noise) from heavy")["Statistics"]["DataScannedInBytes"]
    assert alone == pytest.approx(heavy["noise"], rel=0.002)
    assert both > 1.9 * alone
    assert done(athena, "select count(*) from heavy")["Statistics"]["DataScannedInBytes"] == 0


def test_bytes_scanned_in_small_files(athena: Any, shops: str, s3: Any) -> None:
    """Trino counts all bytes of a file below 16,384 bytes, and those of its column chunks once more."""
    location = f"s3://{DATA}/small_ice/"
    values = "(values (1, 'a'), (2, 'b')) as t (id, name)"
    done(athena, f"create table small as select * from {values}")
    properties = f"table_type = 'ICEBERG', is_external = false, location = '{location}'"
    done(athena, f"create table small_ice with ({properties}) as select * from {values}")
    done(athena, "insert into small_ice values (3, 'c')")
    for table in ("small", "small_ice"):
        found = s3.list_objects_v2(Bucket=DATA, Prefix="small_ice/data/")["Contents"]
        if table == "small":
            path = rows(athena, 'select "$path" from small limit 1')[0][0]
            found = [{"Key": str(path).partition(f"{RESULTS}/")[2]}]
        bucket = RESULTS if table == "small" else DATA
        metadata = [pq.read_metadata(io.BytesIO(content(s3, f"s3://{bucket}/{item['Key']}"))) for item in found]
        chunks = sum(file.row_group(0).column(1).total_compressed_size for file in metadata)
        assert done(athena, f"select max(name) from {table}")["Statistics"]["DataScannedInBytes"] == chunks > 0
        assert done(athena, f"select count(*) from {table}")["Statistics"]["DataScannedInBytes"] == 0


def test_the_cutoff_cancels(athena: Any, heavy: dict[str, int], glue: Any, s3: Any) -> None:
    athena.update_work_group(WorkGroup=WORKGROUP, ConfigurationUpdates={"BytesScannedCutoffPerQuery": 10_000_000})
    execution = run(athena, "select max(noise) from heavy")
    assert execution["Status"]["State"] == "CANCELLED"
    assert reason(execution) == OVER_THE_LIMIT == "Bytes scanned limit was exceeded"
    assert execution["Statistics"]["DataScannedInBytes"] > 10_000_000
    assert "AthenaError" not in execution["Status"]
    copy = run(athena, "create table heavy_copy as select * from heavy")
    assert (copy["Status"]["State"], reason(copy)) == ("CANCELLED", OVER_THE_LIMIT)
    assert "heavy_copy" not in [table["Name"] for table in glue.get_tables(DatabaseName=DATABASE)["TableList"]]
    assert s3.list_objects_v2(Bucket=RESULTS, Prefix=f"athena/tables/{copy['QueryExecutionId']}/")["KeyCount"] == 0
