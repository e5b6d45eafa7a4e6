#!/bin/bash
# MWAA runs this in every container before Airflow starts; Airflow and its tasks inherit what it exports.
# The template gives the values as Airflow options: lake.suffix is AIRFLOW__LAKE__SUFFIX here.
export LAKE_ENVIRONMENT="$AIRFLOW__LAKE__ENVIRONMENT"
export LAKE_SUFFIX="$AIRFLOW__LAKE__SUFFIX"
if [ -n "$AIRFLOW__LAKE__MYSQL_CA" ]; then
  export LAKE_MYSQL_CA="$AIRFLOW_HOME/mysql-ca.pem"
  echo "$AIRFLOW__LAKE__MYSQL_CA" | base64 --decode > "$LAKE_MYSQL_CA"
fi
