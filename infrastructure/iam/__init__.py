"""Proof of least privilege: what the template grants, which grants the tests used, and why the others are needed.

``grants.py`` lists the grants of the template. ``used_grants.json`` says which of them a call recorded in the tests
needed, ``unproven_grants.json`` gives a reason for each of the others. ``python -m infrastructure.iam.document``
writes docs/iam.md.
"""
