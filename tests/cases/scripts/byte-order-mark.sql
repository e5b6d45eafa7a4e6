-- saved by an editor on Windows
CREATE DATABASE cinema;
CREATE TABLE cinema.hall (name VARCHAR(20) CHARACTER SET utf8mb4);
INSERT INTO cinema.hall VALUES ('Žižkov');
