CREATE DATABASE cinema;
CREATE TABLE cinema.log (line TEXT);
SET SQL_MODE = 'NO_BACKSLASH_ESCAPES';
INSERT INTO cinema.log VALUES ('C:\');
INSERT INTO cinema.log VALUES ('second');
