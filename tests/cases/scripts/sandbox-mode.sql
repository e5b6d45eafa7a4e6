/*!999999\- enable the sandbox mode */
/*M!999999\- enable the sandbox mode */ 
CREATE DATABASE cinema;
CREATE TABLE cinema.log (line TEXT);
INSERT INTO cinema.log VALUES ('loaded');
