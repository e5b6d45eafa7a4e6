"""Airflow on AWS: what an MWAA environment runs (``package.py``) and how it is uploaded (``publish.py``).

``requirements.txt``, ``startup.sh`` and ``wheels/`` are what MWAA gets besides the DAGs; ``constraints.txt`` are the
versions in MWAA's image.
"""
