-- Two bars end a statement
--
delimiter ||
CREATE DATABASE cinema ||
CREATE TABLE cinema.log (line TEXT) ||
INSERT INTO cinema.log VALUES ('a;b|c') ||
