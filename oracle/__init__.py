"""A second, independent account of the lake: what must be in its tables, recounted from what landed.

Nothing here is imported from the lake, and the lake imports nothing from here. It reads the tables without Spark and
without Trino.
"""
