CREATE DATABASE cinema;
CREATE TABLE cinema.log AS SELECT /*+ NO_MERGE(it's; x) */ 1 AS n;
INSERT /*+ SET_VAR(sort_buffer_size = 16M) */ INTO cinema.log VALUES (2);
