CREATE DATABASE cinema;
USE cinema;
source halls/schema.sql
source halls/data.sql
