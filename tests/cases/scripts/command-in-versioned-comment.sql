CREATE DATABASE cinema;
/*!\C latin1 */ CREATE TABLE cinema.log (line TEXT);
