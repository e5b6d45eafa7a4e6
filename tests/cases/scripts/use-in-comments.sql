/*
use
source nothing.sql
*/
CREATE DATABASE cinema;
CREATE TABLE cinema.log AS SELECT /*
use
*/ 1 AS n;
-- use nowhere
# delimiter //
INSERT INTO cinema.log VALUES (2);
