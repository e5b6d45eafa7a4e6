CREATE DATABASE cinema;
/*M!100616 CREATE TABLE cinema.mariadb AS SELECT 1 AS n */;
/*M! CREATE TABLE cinema.every_mariadb (n INT) */;
/*M!999999 CREATE TABLE cinema.too_new (n INT) */;
/*!50003 CREATE TABLE cinema.both (n INT) */;
/*!80016 CREATE TABLE cinema.mysql_8 (n INT) */;
INSERT INTO cinema.both VALUES (1 /*! + 1 */ /*M! + 1 */ /*!00000 + 1 */);
/*M!100616 SET @OLD_NOTE_VERBOSITY=@@NOTE_VERBOSITY, NOTE_VERBOSITY=0 */;
