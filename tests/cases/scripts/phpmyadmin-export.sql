-- phpMyAdmin SQL Dump
-- version 5.2.1
SET SQL_MODE = "NO_AUTO_VALUE_ON_ZERO";
START TRANSACTION;
SET time_zone = "+00:00";


/*!40101 SET @OLD_CHARACTER_SET_CLIENT=@@CHARACTER_SET_CLIENT */;
/*!40101 SET NAMES utf8mb4 */;

CREATE DATABASE IF NOT EXISTS `cinema` DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci;
USE `cinema`;

DELIMITER $$
--
-- Procedures
--
CREATE PROCEDURE `raise_prices` ()   BEGIN
  UPDATE hall SET price = price + 1 WHERE name LIKE 'it''s%';
END$$

DELIMITER ;

-- --------------------------------------------------------

CREATE TABLE `hall` (
  `hall_id` int(11) NOT NULL,
  `name` varchar(40) NOT NULL COMMENT 'don''t; translate',
  `price` decimal(5,2) NOT NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;

INSERT INTO `hall` (`hall_id`, `name`, `price`) VALUES
(0, 'it\'s; the \"big\" one', '9.90'),
(2, 'C:\\halls\\', '4.50');

--
-- Triggers `hall`
--
DELIMITER $$
CREATE TRIGGER `no_free_halls` BEFORE INSERT ON `hall` FOR EACH ROW BEGIN
  IF NEW.price = 0 THEN SET NEW.price = 1; END IF;
END
$$
DELIMITER ;

ALTER TABLE `hall`
  ADD PRIMARY KEY (`hall_id`);
COMMIT;

/*!40101 SET CHARACTER_SET_CLIENT=@OLD_CHARACTER_SET_CLIENT */;
