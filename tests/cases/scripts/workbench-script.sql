-- -----------------------------------------------------
-- Schema cinema
-- -----------------------------------------------------
SET @OLD_SQL_MODE=@@SQL_MODE, SQL_MODE='ONLY_FULL_GROUP_BY,STRICT_TRANS_TABLES';
CREATE SCHEMA IF NOT EXISTS `cinema` ;
USE `cinema` ;
CREATE TABLE IF NOT EXISTS `cinema`.`hall` (
  `hall_id` INT NOT NULL,
  `name` VARCHAR(45) NULL,
  PRIMARY KEY (`hall_id`))
ENGINE = InnoDB;

USE `cinema`;

DELIMITER $$
USE `cinema`$$
CREATE DEFINER = CURRENT_USER TRIGGER `cinema`.`hall_BEFORE_INSERT` BEFORE INSERT ON `hall` FOR EACH ROW
BEGIN
  SET NEW.name = TRIM(NEW.name);
END$$


DELIMITER ;
INSERT INTO hall VALUES (1, '  Arena ');
SET SQL_MODE=@OLD_SQL_MODE;
