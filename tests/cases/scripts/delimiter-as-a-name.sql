CREATE DATABASE cinema;
CREATE TABLE cinema.log AS SELECT 1 delimiter ;
CREATE TABLE cinema.text AS SELECT 'first
delimiter
last' AS line;
