"""Helpers that tests of several rooms share; tests/conftest.py makes their fixtures known everywhere.

| module | gives a test | fixtures |
|---|---|---|
| aws_services | the emulator, and our AWS API in this process or its own; clients, roles | emulator, lake_server |
| lake_home | a home with MariaDB, emulator and AWS API, ready for a deployment of the template | |
| deployed_lake | the lake deployed in a lake_home, with list operations, changed templates and rows | |
| resolved_template | the template's resources with parameters and intrinsic functions resolved | |
| clean_zone | landing and clean bucket without a deployment, or a deployed lake whose workers run | zone, deployed |
| athena_home | a home for queries: emulator, Glue's catalog and crawler, Athena, a real Trino | trino_home |
| spark_session | Spark on the emulator's S3 and catalog, and an empty lake for it | spark, lake |
| dag_services | the lake's buckets, queue and databases; fakes of AWS calls, and of Athena | lake_services, aws_calls |
| own_home | a whole home with Airflow, started by ``python -m local up`` or ``demo`` | |
| alarm_listener | the messages that the alarm topic sends, through a queue that subscribes to it | |
| mariadb | a MariaDB server that takes TLS connections only | |
| faulty_proxy | a proxy that lets requests to a service fail as a test plans it | |
| compose_file | docker-compose.yaml and the Dockerfile as data | |
| plain_compose | the services of docker-compose.yaml as plain processes | |
| secret_search | a search for secrets in files, logs, PostgreSQL and command lines | |
| kept_decisions | copies of IAM's decisions, for the option ``--calls`` | |
| cases | the public-style cases of tests/cases as parameters of a test | |
| ports | free ports | |
"""
