"""How each real part of the home is installed, prepared, started and checked.

MariaDB (``mysql``), PostgreSQL (``postgres``), Trino, Spark with the archive of its classes, Java, and Airflow; which
account the database servers run under (``accounts``). Also what all rooms share: files that are written whole
(``files``) and the one bounded wait (``waiting``).
"""
