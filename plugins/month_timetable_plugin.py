"""Registers the lake's own timetable, without which Airflow could not store a DAG that uses it."""

from __future__ import annotations

from airflow.plugins_manager import AirflowPlugin

from lake_airflow.month_timetable import MonthTimetable


class MonthTimetablePlugin(AirflowPlugin):
    """Registers ``MonthTimetable``."""

    name = "month_timetable"
    timetables = [MonthTimetable]  # noqa: RUF012  as Airflow declares it
