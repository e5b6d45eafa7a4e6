/*
 Navicat Premium Data Transfer

 Source Server         : the owner's machine
 File Encoding         : 65001
*/

SET NAMES utf8mb4;
SET FOREIGN_KEY_CHECKS = 0;

CREATE DATABASE cinema;
USE cinema;
-- ----------------------------
-- Table structure for hall
-- ----------------------------
DROP TABLE IF EXISTS `hall`;
CREATE TABLE `hall`  (
  `hall_id` int NOT NULL,
  `name` varchar(45) NULL DEFAULT NULL
) ENGINE = InnoDB;
INSERT INTO `hall` VALUES (1, 'it\'s;');

-- ----------------------------
-- Function structure for hall_name
-- ----------------------------
DROP FUNCTION IF EXISTS `hall_name`;
delimiter ;;
CREATE FUNCTION `hall_name`(id INT) RETURNS varchar(45) DETERMINISTIC
BEGIN
  DECLARE found VARCHAR(45);
  SELECT name INTO found FROM hall WHERE hall_id = id;
  RETURN found;
END
;;
delimiter ;

SET FOREIGN_KEY_CHECKS = 1;
