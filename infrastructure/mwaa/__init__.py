"""Airflow on AWS: what MWAA runs, and how it gets there."""
