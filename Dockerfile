# The local home's image: Debian 12 with what `make setup` installs, and the code. docker-compose.yaml runs it.
# The digests of base images come from docker-library/repo-info; change tag and digest together.

FROM debian:bookworm-20260918-slim@sha256:3783cc01769c7b2b1b83a5c5ad96c815348e28ed7da68e2e3687004faa906251 AS base
ENV DEBIAN_FRONTEND=noninteractive
# The slim image lacks the folders of manual pages, which update-alternatives needs. PostgreSQL's package must not create a cluster.
# Debian keeps only the newest version of a package, so versions cannot be pinned beyond the release.
# hadolint ignore=DL3008
RUN mkdir -p /usr/share/man/man1 /usr/share/man/man7 /etc/postgresql-common/createcluster.d \
    && echo 'create_main_cluster = false' > /etc/postgresql-common/createcluster.d/sakila-streams.conf \
    && apt-get -q update \
    && apt-get -q -y --no-install-recommends install openjdk-17-jdk-headless postgresql-15 python3 \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /opt/sakila-streams

# What set-up installs: two Python environments from hash-locked requirements, Spark's jars and the archive of their classes,
# Trino, Sakila's scripts.
FROM base AS tools
# hadolint ignore=DL3008
RUN apt-get -q update \
    && apt-get -q -y --no-install-recommends install maven python3-venv \
    && rm -rf /var/lib/apt/lists/*
COPY include/datalake include/datalake
COPY local/aws/emulator/requirements.txt local/aws/emulator/
COPY local/__init__.py local/environment.py local/requirements.txt local/settings.py local/
COPY local/engines local/engines
COPY local/supervision local/supervision
COPY local/installation local/installation
RUN python3 -B -m local.installation.setup uv airflow emulator spark-jars spark-classes trino sakila

FROM base AS home
# Volumes are mounted on these folders and take over their owner.
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /lake --shell /usr/sbin/nologin lake \
    && install --directory --owner=lake --group=lake --mode=0711 /lake /lake/data \
    && install --directory --owner=lake --group=lake --mode=0700 /lake/data/mysql
# What rarely changes is copied first, so that a change of the code rebuilds only small layers.
COPY --from=tools /opt/sakila-streams/.local/tools/sakila .local/tools/sakila
COPY --from=tools /opt/sakila-streams/.local/tools/spark-jars .local/tools/spark-jars
COPY --from=tools /opt/sakila-streams/.local/tools/trino .local/tools/trino
COPY --from=tools /opt/sakila-streams/.local/tools/emulator .local/tools/emulator
COPY --from=tools /opt/sakila-streams/.local/tools/airflow .local/tools/airflow
COPY --from=tools /opt/sakila-streams/.local/tools/spark-classes .local/tools/spark-classes
COPY infrastructure infrastructure
COPY plugins plugins
COPY oracle oracle
COPY include include
COPY local local
COPY dags dags
# Compiled here, because a running container cannot write to its root file system.
RUN python3 -m compileall -q infrastructure plugins oracle include local dags
ENV LAKE_HOME=/lake \
    LANG=C.UTF-8 \
    PATH=/opt/sakila-streams/.local/tools/airflow/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONPATH=/opt/sakila-streams:/opt/sakila-streams/include
USER 10001:10001
# Each service has its own health check, in docker-compose.yaml.
HEALTHCHECK NONE
CMD ["python", "-m", "local", "run"]
