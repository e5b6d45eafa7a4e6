----------------------------------
--The halls; don't sort them
CREATE DATABASE cinema;--created
CREATE TABLE cinema.log (n INT);
INSERT INTO cinema.log VALUES (5--3),
  (5
--2);
