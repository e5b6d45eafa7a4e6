CREATE DATABASE cinema; USE cinema;
CREATE TABLE log (line TEXT);
DELIMITER '$$'
CREATE PROCEDURE note() BEGIN INSERT INTO log VALUES ('single'); END$$
DELIMITER "//" and more
CALL note()//
INSERT INTO log VALUES ('double; quotes')//
DELIMITER `;`
INSERT INTO log VALUES ('backticks');
