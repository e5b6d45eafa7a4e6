"""Glue jobs that really run. See ``api.GlueJobs``."""

from local.aws.glue_jobs.api import GlueJobs

__all__ = ["GlueJobs"]
