CREATE DATABASE cinema\g
CREATE TABLE cinema.log (line TEXT)\G INSERT INTO cinema.log VALUES ('\g stays'), ("\G; too"), (\N)\g;
INSERT INTO cinema.log VALUES ('last') -- \g in a comment
\g
SELECT COUNT(*) FROM cinema.log\G
