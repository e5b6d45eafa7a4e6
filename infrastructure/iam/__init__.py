"""Least privilege, proven: what the template grants, what the home's tests used of it, and why the rest is there."""
