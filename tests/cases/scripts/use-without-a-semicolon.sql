CREATE DATABASE `my-cinema`;
CREATE DATABASE `aa``bb`;
USE my-cinema
CREATE TABLE log (n INT);
use aa`bb
CREATE TABLE log (n INT);
INSERT INTO `my-cinema`.log VALUES (1);
  USE  "my-cinema"  -- the same one
INSERT INTO log VALUES (2);
USE my-cinema; INSERT INTO log VALUES (3);
