/*M!999999\- enable the sandbox mode */ 

CREATE DATABASE /*!32312 IF NOT EXISTS*/ `cinema` /*!40100 DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci */;

USE `cinema`;
SET @saved_cs_client     = @@character_set_client;
SET character_set_client = utf8mb4;
/*!50001 CREATE VIEW `big_halls` AS SELECT
 NULL AS `name` */;
SET character_set_client = @saved_cs_client;
/*!40101 SET @saved_cs_client     = @@character_set_client */;
/*!40101 SET character_set_client = utf8mb4 */;
CREATE TABLE `hall` (
  `hall_id` int(11) NOT NULL,
  `name` varchar(40) NOT NULL,
  `plan` blob DEFAULT NULL,
  `note` text DEFAULT NULL,
  `price` decimal(5,2) DEFAULT NULL,
  `opened` date DEFAULT NULL,
  `changed` timestamp NOT NULL DEFAULT '2019-12-31 21:00:00',
  `odd ``name` bit(1) DEFAULT NULL,
  PRIMARY KEY (`hall_id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci COMMENT='the hall''s list; all of it';
/*!40101 SET character_set_client = @saved_cs_client */;
INSERT INTO `hall` VALUES
(1,'O\'Brien\'s; \"big\"',0x00FF270A0D5C3B2D2D2041220023,'two\nlines; -- no comment\\ \' /* nor this */',9.90,'2001-02-03','2019-12-31 21:00:00',0x01),
(2,'Žižkov # 3',NULL,NULL,NULL,NULL,'2019-12-31 21:00:00',0x00);
/*!50003 SET @saved_cs_client      = @@character_set_client */ ;
/*!50003 SET @saved_cs_results     = @@character_set_results */ ;
/*!50003 SET @saved_col_connection = @@collation_connection */ ;
/*!50003 SET character_set_client  = utf8mb3 */ ;
/*!50003 SET character_set_results = utf8mb3 */ ;
/*!50003 SET collation_connection  = utf8mb3_general_ci */ ;
/*!50003 SET @saved_sql_mode       = @@sql_mode */ ;
/*!50003 SET sql_mode              = 'STRICT_TRANS_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_AUTO_CREATE_USER,NO_ENGINE_SUBSTITUTION' */ ;
DELIMITER ;;
/*!50003 CREATE*/ /*!50017 DEFINER=`tester`@`127.0.0.1`*/ /*!50003 TRIGGER hall_added AFTER INSERT ON hall FOR EACH ROW BEGIN
  -- it's the box office's list
  IF NEW.name <> '' THEN /* don't list the nameless; they're closed */
    INSERT INTO log VALUES (CONCAT('added; ', NEW.name)); # that's all
  END IF;
END 
*/;;
DELIMITER ;
/*!50003 SET sql_mode              = @saved_sql_mode */ ;
/*!50003 SET character_set_client  = @saved_cs_client */ ;
/*!50003 SET character_set_results = @saved_cs_results */ ;
/*!50003 SET collation_connection  = @saved_col_connection */ ;
/*!40101 SET @saved_cs_client     = @@character_set_client */;
/*!40101 SET character_set_client = utf8mb4 */;
CREATE TABLE `log` (
  `line` varchar(60) DEFAULT NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;
/*!40101 SET character_set_client = @saved_cs_client */;
/*!40101 SET @saved_cs_client     = @@character_set_client */;
/*!40101 SET character_set_client = utf8mb4 */;
CREATE TABLE `seat` (
  `hall_id` int(11) DEFAULT NULL,
  `seat` int(11) DEFAULT NULL,
  KEY `hall_id` (`hall_id`),
  CONSTRAINT `fk` FOREIGN KEY (`hall_id`) REFERENCES `hall` (`hall_id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;
/*!40101 SET character_set_client = @saved_cs_client */;
INSERT INTO `seat` VALUES
(1,1),
(1,2);

USE `cinema`;
/*!50001 DROP VIEW IF EXISTS `big_halls`*/;
/*!50001 SET @saved_cs_client          = @@character_set_client */;
/*!50001 SET @saved_cs_results         = @@character_set_results */;
/*!50001 SET @saved_col_connection     = @@collation_connection */;
/*!50001 SET character_set_client      = utf8mb3 */;
/*!50001 SET character_set_results     = utf8mb3 */;
/*!50001 SET collation_connection      = utf8mb3_general_ci */;
/*!50001 CREATE ALGORITHM=UNDEFINED */
/*!50013 DEFINER=`tester`@`127.0.0.1` SQL SECURITY DEFINER */
/*!50001 VIEW `big_halls` AS select `hall`.`name` AS `name` from `hall` where `hall`.`name` like '%big%' */;
/*!50001 SET character_set_client      = @saved_cs_client */;
/*!50001 SET character_set_results     = @saved_cs_results */;
/*!50001 SET collation_connection      = @saved_col_connection */;
