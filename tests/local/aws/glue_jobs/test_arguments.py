"""The arguments of Glue jobs, and the error that a failed run shows."""

from __future__ import annotations

import textwrap
from importlib.metadata import version

import pytest

from local.aws.glue_jobs import arguments as args
from local.aws.glue_jobs.run_logs import last_error
from local.aws.protocol import AwsError


def test_the_chained_conf_is_split() -> None:
    assert args.spark_settings({"--conf": "a.b=c=d --conf  e.f=g h   --conf i=j"}) == {
        "a.b": "c=d",
        "e.f": "g h",
        "i": "j",
    }
    assert args.spark_settings({}) == {}
    with pytest.raises(AwsError, match="not name=value"):
        args.spark_settings({"--conf": "a"})


def test_a_runs_arguments_override_the_jobs_except_those_that_cannot_be() -> None:
    job = {"DefaultArguments": {"--a": "1", "--b": "2", "--c": "3"}, "NonOverridableArguments": {"--c": "fixed"}}
    assert args.merge(job, {"--b": "given", "--c": "given"}) == {"--a": "1", "--b": "given", "--c": "fixed"}


def test_the_script_gets_only_its_own_arguments() -> None:
    given = {"--JOB_NAME": "j", "--conf": "a=b", "--enable-metrics": "true", "--mode": "hourly"}
    assert args.script_arguments(given) == ["--JOB_NAME", "j", "--mode", "hourly"]


@pytest.mark.parametrize(
    "refused",
    [
        {"--job-bookmark-option": "job-bookmark-enable"},
        {"--extra-jars": "s3://b/x.jar"},
        {"--enable-glue-datacatalog": "true"},
        {"--datalake-formats": "iceberg,hudi"},
    ],
)
def test_what_would_be_ignored_is_refused(refused: dict[str, str]) -> None:
    with pytest.raises(AwsError, match=next(iter(refused))):
        args.refuse_unsupported(refused)


def test_python_modules_are_checked_against_what_is_installed() -> None:
    here = f"pyarrow=={version('pyarrow')}"
    assert args.missing_modules({"--additional-python-modules": f"{here}, pandas>=1"}) == []
    wrong = args.missing_modules({"--additional-python-modules": f"{here},pandas==0.1,nothing==1,s3://b/x.whl"})
    assert [text.partition(" ")[0] for text in wrong] == ["pandas==0.1", "nothing==1", "s3://b/x.whl"]


def test_the_last_exception_is_shown_without_its_module() -> None:
    printed = textwrap.dedent("""\
        Traceback (most recent call last):
          File "a.py", line 1, in <module>
        KeyError: 'first'

        During handling of the above exception, another exception occurred:

        Traceback (most recent call last):
          File "a.py", line 3, in <module>
            read()
        pyspark.errors.exceptions.captured.AnalysisException: [PATH_NOT_FOUND] s3://x.
        26/11/23 WARN ShutdownHook: bye
    """)
    assert last_error(printed) == "AnalysisException: [PATH_NOT_FOUND] s3://x."
    assert last_error("no traceback") == ""
    assert last_error("Traceback (most recent call last):\n  File\nKeyboardInterrupt\n") == "KeyboardInterrupt"
