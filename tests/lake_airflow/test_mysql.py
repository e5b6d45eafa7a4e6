"""Loading a script into a real server and proving what it holds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from datalake.mysql_script import ScriptError
from lake_airflow import mysql
from lake_airflow.mysql import SakilaError, connect, count_rows, find_null_token, run_script, verify_sakila
from tests.support.mariadb import MariaDb, mariadb

SCRIPT = rb"""-- a small schema in the manner of Sakila
DROP SCHEMA IF EXISTS sakila;
CREATE SCHEMA sakila;
USE sakila;
CREATE TABLE film (film_id INT PRIMARY KEY, title VARCHAR(50) CHARACTER SET utf8mb4 NULL, stamp TIMESTAMP NOT NULL);
CREATE TABLE `film;log` (n INT);
DELIMITER ;;
CREATE TRIGGER ins_film AFTER INSERT ON film FOR EACH ROW BEGIN
  INSERT INTO `film;log` VALUES (new.film_id);
END;;
CREATE PROCEDURE films() BEGIN SELECT COUNT(*) FROM film; SELECT 2; END;;
DELIMITER ;
CREATE VIEW titles AS SELECT title FROM film;
INSERT INTO film VALUES (1, 'It''s; \'here\'', '2006-02-15 04:34:33'), (2, '', '2006-02-15 04:34:33'),
  (3, NULL, '2006-02-15 04:34:33');
CALL films();
SET autocommit = 0; -- as Sakila 0.8 leaves it
INSERT INTO film VALUES (4, '\xc3\xa9\xf0\x9f\x8e\xac', '2006-02-15 04:34:33');
""".replace(rb"\xc3\xa9\xf0\x9f\x8e\xac", "é🎬".encode())


@pytest.fixture(scope="module")
def server() -> Iterator[MariaDb]:
    with mariadb() as running:
        yield running


@pytest.fixture
def connection(server: MariaDb) -> Iterator[Any]:
    with server.connect() as opened:
        run_script(opened, SCRIPT)
        yield opened


def rows(connection: Any, query: str) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(query)
        return list(cursor.fetchall())


@pytest.mark.services
def test_a_script_is_loaded_whole_and_committed(server: MariaDb) -> None:
    seen: list[tuple[int, int]] = []
    with server.connect() as loading:
        assert run_script(loading, SCRIPT, lambda done, total: seen.append((done, total))) == 12
    assert seen[-1][0] == pytest.approx(len(SCRIPT), abs=2)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    with server.connect("sakila") as other:
        assert rows(other, "SELECT film_id, title FROM film ORDER BY film_id") == [
            (1, "It's; 'here'"),
            (2, ""),
            (3, None),
            (4, "é🎬"),
        ]
        assert rows(other, "SELECT n FROM `film;log` ORDER BY n") == [(1,), (2,), (3,), (4,)]
        # A TIMESTAMP literal of the script means UTC, although the server's own zone is +03:00
        assert rows(other, "SELECT UNIX_TIMESTAMP(stamp) FROM film WHERE film_id = 1") == [(1139978073,)]


@pytest.mark.services
def test_a_failing_statement_is_named_and_ends_the_script(server: MariaDb) -> None:
    script = b"CREATE SCHEMA broken;\n\nINSERT INTO broken.nowhere VALUES (1);\nCREATE TABLE broken.later (n INT);"
    with server.connect() as loading:
        with pytest.raises(ScriptError, match=r"line 3: .*broken\.nowhere.*the statement begins: INSERT INTO broken"):
            run_script(loading, script)
        assert rows(loading, "SHOW TABLES IN broken") == []


@pytest.mark.services
def test_rows_are_counted_not_estimated(connection: Any) -> None:
    assert count_rows(connection, ["sakila.film", "sakila.film;log"]) == {"sakila.film": 4, "sakila.film;log": 4}


@pytest.mark.services
def test_an_incomplete_sakila_is_described_fault_by_fault(connection: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO sakila.film VALUES (5, %s, NOW())", ("\\N",))
    with pytest.raises(SakilaError) as caught:
        verify_sakila(connection)
    message = str(caught.value)
    for fault in (
        "table actor: expected, not found",
        "table film;log: found, not expected",
        "views: expected 7, found 1",
        "triggers: expected 6, found 1",
        "routines: expected 6, found 1",
        "table film: expected 1000 rows, found 5",
        "column film.title: 1 values are the text \\N, which means NULL",
    ):
        assert fault in message


@pytest.mark.services
def test_a_complete_sakila_gives_its_counts(connection: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mysql, "SAKILA", {"film": object(), "film;log": object()})
    monkeypatch.setattr(mysql, "SAKILA_ROWS", {"film": frozenset({3, 4}), "film;log": frozenset({4})})
    monkeypatch.setattr(mysql, "SAKILA_OBJECTS", {"views": 1, "triggers": 1, "routines": 1})
    assert verify_sakila(connection) == {"film": 4, "film;log": 4}


@pytest.mark.services
@pytest.mark.parametrize("harmless", ["\\n", "N", "NULL", "", "\\N ", "a \\N b"])
def test_only_the_exact_token_is_a_fault(connection: Any, harmless: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO sakila.film VALUES (5, %s, NOW())", (harmless,))
    assert find_null_token(connection) == []


@pytest.mark.services
def test_connections_are_encrypted_and_checked(server: MariaDb) -> None:
    with server.connect() as opened:
        assert rows(opened, "SHOW STATUS LIKE 'Ssl_version'")[0][1].startswith("TLS")
        assert rows(opened, "SELECT @@session.time_zone") == [("+00:00",)]
    with pytest.raises(ConnectionError, match=rf"127\.0\.0\.1:{server.port} .*certificate verify failed"):
        connect(server.secret, None, None)
    with pytest.raises(ConnectionError, match=rf"127\.0\.0\.1:{server.port} .*Access denied"):
        connect({**server.secret, "password": "wrong"}, server.ca, None)
    with pytest.raises(ConnectionError, match="no-such-ca.pem, does not exist"):
        connect(server.secret, "/no-such-ca.pem", None)


def test_a_server_that_is_down_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConnectionError, match=r"MySQL at 127\.0\.0\.1:9 cannot be used: .*refused"):
        connect({"host": "127.0.0.1", "port": 9, "username": "u", "password": "p"}, None, None)
