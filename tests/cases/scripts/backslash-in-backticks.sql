CREATE DATABASE cinema;
CREATE TABLE cinema.`a1\``b1` (a INT);
INSERT INTO cinema.`a1\``b1` VALUES (1);
CREATE TABLE cinema.`end\` (a INT); INSERT INTO cinema.`end\` VALUES (2);
