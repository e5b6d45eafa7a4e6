"""The splitter: what the mysql client's scripts may hold, and what it refuses."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datalake.mysql_script import ScriptError, statements


def texts(script: bytes) -> list[bytes]:
    return [statement.text for statement in statements(script)]


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        (b"SELECT 1; SELECT 2", [b"SELECT 1", b"SELECT 2"]),
        (b"SELECT 'a;b', \"c;d\", `e;f`;", [b"SELECT 'a;b', \"c;d\", `e;f`"]),
        (b"SELECT 'it''s; \\'; so';SELECT 2;", [b"SELECT 'it''s; \\'; so'", b"SELECT 2"]),
        (b"SELECT `\\`; SELECT 2;", [b"SELECT `\\`", b"SELECT 2"]),  # no escape inside backticks
        (b"-- a; 'comment\n# another; one\n/* a third; \" */ SELECT 1;", [b"SELECT 1"]),
        (b"SELECT 1 -- it's; open\n+ 1;", [b"SELECT 1 -- it's; open\n+ 1"]),
        (b"SELECT 5--3;SELECT 2;", [b"SELECT 5--3", b"SELECT 2"]),  # two minus signs, no comment
        (
            b"/*!50003 CREATE TRIGGER t; ';*/' END */;SELECT 1;",
            [b"/*!50003 CREATE TRIGGER t; ';*/' END */", b"SELECT 1"],
        ),
        (b";;  ; SELECT 1;;", [b"SELECT 1"]),
        (b"", []),
        (b"-- nothing but a comment", []),
        (b"SELECT '\xff\x00\r\n;\xfe';", [b"SELECT '\xff\x00\r\n;\xfe'"]),  # bytes, line ends included, are kept
    ],
)
def test_cuts_where_the_client_cuts(script: bytes, expected: list[bytes]) -> None:
    assert texts(script) == expected


def test_delimiter_changes_and_changes_back() -> None:
    script = b"""DELIMITER //
CREATE PROCEDURE p() BEGIN SELECT ';'; SELECT 2; END//
delimiter ;
SELECT 1;
DELIMITER ;;
CREATE TRIGGER t BEFORE INSERT ON a FOR EACH ROW SET @delimiter = 1;;
DELIMITER ;
SELECT 2"""
    assert texts(script) == [
        b"CREATE PROCEDURE p() BEGIN SELECT ';'; SELECT 2; END",
        b"SELECT 1",
        b"CREATE TRIGGER t BEFORE INSERT ON a FOR EACH ROW SET @delimiter = 1",
        b"SELECT 2",
    ]


def test_statements_know_their_line_and_how_far_the_script_is_read() -> None:
    script = b"-- one\n\nSELECT 1;\nSELECT\n 2;\nSELECT 3"
    found = list(statements(script))
    assert [statement.line for statement in found] == [3, 4, 6]
    assert found[-1].end == len(script)


@pytest.mark.parametrize(
    ("script", "message"),
    [
        (b"SELECT 1;\n\nSELECT 'abc;", "line 3: the quote ' is never closed"),
        (b'SELECT\n "abc;', 'line 2: the quote " is never closed'),
        (b"SELECT `abc;", "line 1: the quote ` is never closed"),
        (b"SELECT 1;\n/* abc;", "line 2: the comment /* is never closed"),
        (b"SELECT 1\n/*! abc;", "line 2: the comment /* is never closed"),
    ],
)
def test_what_never_closes_is_an_error_with_its_line(script: bytes, message: str) -> None:
    with pytest.raises(ScriptError, match=message.replace("*", r"\*")):
        texts(script)


@given(st.lists(st.text(), min_size=1, max_size=5))
def test_any_text_inside_quotes_stays_in_its_statement(values: list[str]) -> None:
    literals = [value.replace("\\", "\\\\").replace("'", "''").encode() for value in values]
    expected = [b"SELECT '" + literal + b"'" for literal in literals]
    assert texts(b";\n".join(expected)) == expected
