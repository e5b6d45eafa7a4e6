"""Reading CSV: exact values of the declared types, and a message for every fault. No service is needed."""

from __future__ import annotations

import csv
import io
import itertools
import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import typed_csv
from datalake.schemas import Column, Table
from datalake.tables import SAKILA
from local.aws.dms.csv_files import TableFiles
from local.aws.dms.endpoint_settings import S3Target
from local.settings import ROOT
from typed_csv import NULL_TOKEN, CsvError, arrow_schema, buffered, read_batches

TYPES = (
    ("number", "bigint"),
    ("text", "string"),
    ("amount", "decimal(5,2)"),
    ("moment", "timestamp"),
    ("picture", "binary"),
)
FORMS = {
    "bigint": "a whole number",
    "decimal(5,2)": "a number with up to 3 digits before the point and 2 after it",
    "timestamp": "a time such as 2006-02-15 04:34:33",
    "binary": "two hexadecimal digits for each byte",
}
TABLE = Table("sakila", "everything", "clean", "everything/", tuple(Column(*pair) for pair in TYPES))
HEADER = "number,text,amount,moment,picture\n"
GOOD = "1,a,4.99,2006-02-15 04:34:33,00ff\n"


def rows(text: str | bytes, table: Table = TABLE) -> list[tuple[Any, ...]]:
    body = text.encode() if isinstance(text, str) else text
    batches = read_batches(io.BytesIO(body), table, "s3://b/f.csv")
    return [tuple(row.values()) for batch in batches for row in batch.to_pylist()]


def test_values_become_their_declared_types() -> None:
    assert rows(HEADER + GOOD) == [(1, "a", Decimal("4.99"), datetime(2006, 2, 15, 4, 34, 33), b"\x00\xff")]  # noqa: DTZ001


def test_null_is_told_from_the_empty_text_and_from_texts_that_look_like_it() -> None:
    lines = "".join(
        f"1,{text},1,2006-02-15 04:34:33,\n" for text in ("\\N", "", '""', "NULL", "\\n", " \\N", "nan", "None")
    )
    assert [row[1] for row in rows(HEADER + lines)] == [None, "", "", "NULL", "\\n", " \\N", "nan", "None"]
    assert rows(HEADER + "\\N,\\N,\\N,\\N,\\N\n") == [(None,) * 5]


def test_a_column_of_nulls_keeps_its_type() -> None:
    (batch,) = read_batches(io.BytesIO((HEADER + "\\N,\\N,\\N,\\N,\\N\n").encode()), TABLE, "f")
    assert batch.schema == arrow_schema(TABLE)
    assert batch.schema.field("number").type == pa.int64()
    assert arrow_schema(SAKILA["film"]).field("original_language_id").type == pa.int64()


def test_a_file_without_rows_gives_no_batch() -> None:
    assert rows(HEADER) == []


def test_columns_are_matched_by_name() -> None:
    assert rows("picture,moment,amount,number,text\n00,2006-02-15 04:34:33,1.5,7,x\n") == [
        (7, "x", Decimal("1.50"), datetime(2006, 2, 15, 4, 34, 33), b"\x00")  # noqa: DTZ001
    ]


@pytest.mark.parametrize(
    "value",
    [
        "01234",
        "  edge ",
        "a,b",
        'say "so"',
        "two\nlines",
        "carriage\rreturn",
        "\r\n",
        "žluťoučký 🎬",
        "\x00",
        "\ufeff",
        "1e5",
    ],
)
def test_texts_come_back_as_they_were(value: str) -> None:
    quoted = '"' + value.replace('"', '""') + '"'
    assert rows(f"{HEADER}1,{quoted},1,2006-02-15 04:34:33,\n")[0][1] == value


@pytest.mark.parametrize(
    ("field", "value", "kind"),
    [
        (0, "12abc", "bigint"),
        (0, "", "bigint"),
        (0, " 1", "bigint"),
        (0, "0x1F", "bigint"),
        (0, "1_000", "bigint"),
        (0, "1.0", "bigint"),
        (0, "١", "bigint"),
        (0, "9223372036854775808", "bigint"),
        (2, "1000.00", "decimal(5,2)"),
        (2, "1.999", "decimal(5,2)"),
        (2, "1e2", "decimal(5,2)"),
        (2, "NULL", "decimal(5,2)"),
        (3, "2006-02-30 00:00:00", "timestamp"),
        (3, "2006-02-15", "timestamp"),
        (3, "2006-02-15 25:00:00", "timestamp"),
        (3, "2006-02-15T04:34:33Z", "timestamp"),
        (3, "0000-00-00", "timestamp"),
        (3, "2006-00-15 00:00:00", "timestamp"),
        (4, "0", "binary"),
        (4, "zz", "binary"),
    ],
)
def test_a_value_that_does_not_parse_is_named(field: int, value: str, kind: str) -> None:
    values = GOOD.strip().split(",")
    values[field] = value
    text = HEADER + '1,"two\nlines",1,2006-02-15 04:34:33,\n' + GOOD + ",".join(values) + "\n" + GOOD
    with pytest.raises(CsvError) as caught:
        rows(text)
    found = f"column '{TYPES[field][0]}': {value!r} is not of type {kind}, expected {FORMS[kind]}: "
    assert str(caught.value).startswith(f"s3://b/f.csv: line 5: {found}")


def test_a_quote_that_is_never_closed_does_not_fill_the_memory() -> None:
    """It is refused when it is longer than any value that DMS writes."""
    settings = json.loads((ROOT / "infrastructure/dms/task-settings.json").read_text())
    longest = 2 * 1024 * settings["TargetMetadata"]["LobMaxSize"]  # characters of a BLOB in hexadecimal
    assert longest <= typed_csv.FIELD_CHARACTERS <= 4 * longest
    lines = itertools.chain([HEADER.encode(), b'1,"open\n'], itertools.repeat(GOOD.encode()))
    with pytest.raises(CsvError, match="line 2: column 'text': .*the quote that begins the value is never closed"):
        list(read_batches(lines, TABLE, "f"))  # type: ignore[arg-type]


def test_a_long_value_is_cut_in_the_message() -> None:
    with pytest.raises(CsvError) as caught:
        rows(HEADER + f"1,a,1,2006-02-15 04:34:33,{'x' * 100_000}\n")
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("", "line 1: table sakila.everything: the file is empty"),
        (GOOD, "names no declared column; expected a header row with the columns number, "),
        (
            "number,text,amount,moment,picture,location\n",
            "line 1: table sakila.everything: column 'location' is not declared",
        ),
        ("number,text,amount,moment\n", "line 1: table sakila.everything: column 'picture' is missing"),
        ("number,text,amount,moment,PICTURE\n", "column 'PICTURE' is not declared"),
        ("number,text,amount,moment,picture,text\n", "a column is named twice"),
        (HEADER + GOOD + "1,a\n", "line 3: 2 values, but the header names 5 columns"),
        (HEADER + GOOD + "1,a,1,2006-02-15 04:34:33,00,more\n", "line 3: 6 values, but the header names 5 columns"),
        (HEADER + GOOD + "\n" + GOOD, "line 3: 0 values, but the header names 5 columns"),
        (HEADER + GOOD + '1,"open', "line 3: column 'text': not CSV according to RFC 4180: the quote"),
        (
            HEADER + GOOD + '1,"open\n' + GOOD * 9,
            "line 3: column 'text': not CSV according to RFC 4180: the quote",
        ),
        (
            HEADER + GOOD + '1,"o""\n",1,"x\n' + GOOD,
            "line 3: column 'moment': not CSV according to RFC 4180: the quote",
        ),
        (HEADER + GOOD + '1,"a"b,1,2006-02-15 04:34:33,\n', "line 3: column 'text': not CSV according to RFC 4180"),
        (HEADER + "1,a\rb,1,2006-02-15 04:34:33,\n", "line 2: column 'text': not CSV according to RFC 4180"),
        ('number,"text', "line 1: column 2: not CSV according to RFC 4180"),
        ("\n1,2\n", "line 1: table sakila.everything: the first row [] names no declared column"),
        (HEADER.encode() + b"1,caf\xe9,1,2006-02-15 04:34:33,\n", "line 2: column 'text': b'caf\\xe9' is not UTF-8"),
        (
            HEADER.encode() + b"1,\xed\xa0\x80,1,2006-02-15 04:34:33,\n",
            "column 'text': b'\\xed\\xa0\\x80' is not UTF-8",
        ),
        (HEADER.encode() + b"\xb2,a,1,2006-02-15 04:34:33,\n", "line 2: column 'number': b'\\xb2' is not UTF-8"),
        (b"number,t\xe9xt\n", "line 1: table sakila.everything: column 't\\udce9xt' is not declared"),
    ],
)
def test_a_file_that_is_not_what_it_should_be_is_described(body: str | bytes, message: str) -> None:
    with pytest.raises(CsvError) as caught:
        rows(body)
    assert str(caught.value).startswith("s3://b/f.csv: line ")
    assert message in str(caught.value)


def test_many_zero_dates_are_null_all_at_once() -> None:
    lines = "1,a,1,0000-00-00 00:00:00,\n" * 50_000
    assert {row[3] for row in rows(HEADER + lines)} == {None}


def test_every_sakila_table_can_be_read() -> None:
    for table in SAKILA.values():
        assert rows(",".join(table.column_names) + "\n" + ",".join([NULL_TOKEN] * len(table.columns)) + "\n", table)


def test_a_type_that_no_csv_is_read_into_is_named() -> None:
    table = Table("sakila", "odd", "clean", "odd/", (Column("shape", "map<string,int>"),))
    with pytest.raises(ValueError, match="column shape: no CSV is read into the type map<string,int>"):
        arrow_schema(table)


def test_memory_is_bounded_by_the_batch_whatever_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    line = ("1," + "x" * 1000 + ",1,2006-02-15 04:34:33,\n").encode()

    class Endless(io.RawIOBase):
        """100 MB that exist only line by line."""

        def __init__(self) -> None:
            self._parts: Iterator[bytes] = iter([HEADER.encode(), *[line] * 100_000])
            self._rest = b""

        def readable(self) -> bool:
            return True

        def readinto(self, buffer: Any) -> int:
            while len(self._rest) < len(buffer) and (part := next(self._parts, b"")):
                self._rest += part
            taken, self._rest = self._rest[: len(buffer)], self._rest[len(buffer) :]
            buffer[: len(taken)] = taken
            return len(taken)

    monkeypatch.setattr(typed_csv, "BATCH_BYTES", 1024 * 1024)
    sizes = []
    pool = pa.default_memory_pool()
    before, most, count = pool.bytes_allocated(), 0, 0
    for batch in read_batches(buffered(Endless()), TABLE, "f"):
        sizes.append(batch.nbytes)
        most = max(most, pool.bytes_allocated() - before)
        count += batch.num_rows
    assert count == 100_000
    assert max(sizes) < 1.2 * 1024 * 1024
    assert most < 8 * 1024 * 1024


class Kept:
    """An S3 client that keeps what it is given."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}

    def upload_fileobj(self, file: Any, bucket: str, key: str, arguments: Any, **_: Any) -> None:
        self.objects[key] = file.read()


# \N is the one text that the pair cannot carry: load_sakila looks for it
_TEXTS = st.none() | st.text().filter(lambda text: text != NULL_TOKEN)


def written_by_dms(values: Sequence[tuple[str | None, ...]], columns: str) -> bytes:
    """The CSV that DMS writes of these rows of text."""
    s3: Any = Kept()
    target = S3Target(role_arn="", bucket="b", header=True, null=NULL_TOKEN)
    files = TableFiles(s3, target, "t/", [(column, False) for column in columns])
    for row in values:
        files.write(row)
    files.close()
    return bytes(s3.objects["t/LOAD00000001.csv"])


@given(st.lists(st.tuples(_TEXTS, _TEXTS), min_size=1))
def test_any_text_goes_from_dms_through_the_function_unchanged(values: list[tuple[str | None, str | None]]) -> None:
    table = Table("sakila", "texts", "clean", "texts/", (Column("a", "string"), Column("b", "string")))
    assert rows(written_by_dms(values, "ab"), table) == values


@given(st.lists(_TEXTS, min_size=1))
def test_one_column_of_any_text(values: list[str | None]) -> None:
    table = Table("sakila", "texts", "clean", "texts/", (Column("a", "string"),))
    assert rows(written_by_dms([(value,) for value in values], "a"), table) == [(value,) for value in values]


@given(st.lists(st.tuples(st.text(), st.text()), min_size=1))
def test_what_other_writers_quote_is_read_too(values: list[tuple[str, str]]) -> None:
    table = Table("sakila", "texts", "clean", "texts/", (Column("a", "string"), Column("b", "string")))
    text = io.StringIO()
    csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\r\n").writerows([("a", "b"), *values])
    expected = [tuple(None if value == NULL_TOKEN else value for value in row) for row in values]
    assert rows(text.getvalue(), table) == expected
