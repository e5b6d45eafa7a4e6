CREATE DATABASE cinema;
CREATE TABLE cinema.log (line TEXT);
INSERT INTO cinema.log VALUES ('it's');
