CREATE DATABASE cinema;
\! echo loaded
