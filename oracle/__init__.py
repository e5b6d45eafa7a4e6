"""A second, independent account of the lake: what must be in its tables, computed anew from what landed.

Nothing here is imported from the lake, and the lake imports nothing from here. The tables are read without Spark and
without Trino. ``lines.py`` parses landed objects, ``expectation.py`` decides where each line must end, ``tables.py``
reads the curated tables, ``comparison.py`` compares the two; ``clean_zone.py`` compares the clean zone with MySQL.
"""
