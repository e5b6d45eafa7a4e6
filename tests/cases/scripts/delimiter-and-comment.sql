CREATE DATABASE cinema; USE cinema;
CREATE TABLE log (line TEXT);
DELIMITER $$ -- the body below holds semicolons
CREATE PROCEDURE note(IN what TEXT) BEGIN INSERT INTO log VALUES ('a; b'); INSERT INTO log VALUES (what); END$$
DELIMITER ; -- back again
CALL note('c');
