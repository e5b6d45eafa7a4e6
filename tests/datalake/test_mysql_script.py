"""The splitter: what the mysql client's scripts may hold, and what it refuses."""

from __future__ import annotations

import re

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
        # The client's rules inside a versioned comment are those outside it
        (b"/*!50003 CREATE TRIGGER t ';*/' */;SELECT 1;", [b"/*!50003 CREATE TRIGGER t ';*/' */", b"SELECT 1"]),
        (b"/*!1 a -- it's; b\n */;SELECT 1;", [b"/*!1 a -- it's; b\n */", b"SELECT 1"]),
        (b"/*!1 a /* it's; b */ */;SELECT 1;", [b"/*!1 a /* it's; b */ */", b"SELECT 1"]),
        (b"/*M!100616 SELECT 1 */; /*M! # it's\n*/;", [b"/*M!100616 SELECT 1 */", b"/*M! # it's\n*/"]),
        (b"/*M!999999\\- no commands */\nSELECT 1;", [b"/*M!999999\\- no commands */\nSELECT 1"]),
        (b"\xef\xbb\xbfSELECT 1;", [b"SELECT 1"]),
        (b"--a\n-----\nSELECT 1--2\n;", [b"SELECT 1--2"]),
        (b"SELECT 1\\g SELECT '\\g', \\N\\G SELECT 2", [b"SELECT 1", b"SELECT '\\g', \\N", b"SELECT 2"]),
        (b"use my-db\nSELECT 1;use b;use\nc;", [b"USE `my-db`", b"SELECT 1", b"USE `b`", b"use\nc"]),
        (b"used;exits;delimiter_;", [b"used", b"exits", b"delimiter_"]),
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


@pytest.mark.parametrize("argument", [b"$$", b"  $$ -- a; comment", b"'$$'", b'"$$" x', b"\t`$$`\r"])
def test_a_delimiter_is_the_first_word_or_what_is_in_quotes(argument: bytes) -> None:
    script = b"SELECT 1;\nDELIMITER " + argument + b"\nSELECT 2; SELECT 3$$\nSELECT 4"
    assert texts(script) == [b"SELECT 1", b"SELECT 2; SELECT 3", b"SELECT 4"]
    assert [statement.line for statement in statements(script)] == [1, 3, 4]


def test_a_delimiter_that_could_be_a_comment_is_a_delimiter() -> None:
    assert texts(b"DELIMITER #\nSELECT 1##SELECT 2#") == [b"SELECT 1", b"SELECT 2"]
    assert texts(b"DELIMITER --\nSELECT 1-- SELECT 2") == [b"SELECT 1", b"SELECT 2"]


@pytest.mark.parametrize(
    ("script", "message"),
    [
        (b"SELECT 1;\n\nSELECT 'abc;", "line 3, column 8: the quote ' is never closed: add the '"),
        (b'SELECT\n "abc;', 'line 2, column 2: the quote " is never closed: add the "'),
        (b"\xef\xbb\xbfSELECT `abc;", "line 1, column 8: the quote ` is never closed: add the `"),
        (b"SELECT 1;\n/* abc;", "line 2, column 1: the comment /* is never closed: add the */"),
        (b"SELECT 1;\n  SOURCE a.sql;", "line 2, column 3: SOURCE is a command of the mysql client"),
        (b"SELECT 1;exit", "line 1, column 10: EXIT is a command of the mysql client"),
        (b"SELECT 1\n\\. a.sql", "line 2, column 1: \\. is a command of the mysql client"),
        (b"DELIMITER\nSELECT 1;", "line 1, column 1: DELIMITER needs a delimiter without a backslash"),
        (b"\nDELIMITER \\\\\n", "line 2, column 1: DELIMITER needs a delimiter without a backslash"),
        (b"S\0E\0L\0", "line 1: the script is UTF-16"),
    ],
)
def test_what_cannot_be_read_is_an_error_with_its_place(script: bytes, message: str) -> None:
    with pytest.raises(ScriptError, match=re.escape(message)):
        texts(script)


@given(st.lists(st.text(), min_size=1, max_size=5))
def test_any_text_inside_quotes_stays_in_its_statement(values: list[str]) -> None:
    literals = [value.replace("\\", "\\\\").replace("'", "''").encode() for value in values]
    expected = [b"SELECT '" + literal + b"'" for literal in literals]
    assert texts(b";\n".join(expected)) == expected
