-- MySQL dump 10.13  Distrib 8.0.36, for Linux (x86_64)
/*!50503 SET NAMES utf8mb4 */;
/*!40014 SET @OLD_UNIQUE_CHECKS=@@UNIQUE_CHECKS, UNIQUE_CHECKS=0 */;
CREATE DATABASE /*!32312 IF NOT EXISTS*/ `cinema` /*!40100 DEFAULT CHARACTER SET utf8mb4 */ /*!80016 DEFAULT ENCRYPTION='N' */;
USE `cinema`;
/*!40101 SET @saved_cs_client     = @@character_set_client */;
CREATE TABLE `hall` (
  `hall_id` int NOT NULL,
  `plan` blob,
  `place` int DEFAULT NULL /*!80023 INVISIBLE */,
  `note` varchar(30) DEFAULT (_utf8mb4'it''s; new') /*!80013 COMMENT 'a; default' */,
  PRIMARY KEY (`hall_id`)
) ENGINE=InnoDB;
LOCK TABLES `hall` WRITE;
/*!40000 ALTER TABLE `hall` DISABLE KEYS */;
INSERT INTO `hall` VALUES (1,_binary '\0ab\'\Z\\;',3,'it\'s; /* old */'),(2,NULL,\N,DEFAULT);
/*!40000 ALTER TABLE `hall` ENABLE KEYS */;
UNLOCK TABLES;
/*!40014 SET UNIQUE_CHECKS=@OLD_UNIQUE_CHECKS */;
