"""Glue jobs: each run is a spark-submit of the job's own script.

``api`` has the actions and says what is served; ``arguments`` reads a run's arguments. ``job_runner`` follows each run
from start to end: ``launch`` makes its command, ``job_process`` starts and ends its processes, ``run_logs`` sends its
output to CloudWatch Logs, and ``job_runs`` keeps its state on disk.
"""

from local.aws.glue_jobs.api import GlueJobs

__all__ = ["GlueJobs"]
