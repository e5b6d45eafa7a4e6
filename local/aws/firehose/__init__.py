"""Amazon Data Firehose for streams with Direct PUT to S3; ``api`` says what is served.

A record goes into a buffer on disk (``segment``) and is then acknowledged. ``stream`` closes a buffer that is full or
old enough and writes it to S3 as one object. ``stream_store`` keeps the streams and their configuration, which
``destination`` and ``prefix`` check. ``records`` reads the records of a call and builds the reply. ``monitoring`` sends
metrics and failed deliveries to CloudWatch.
"""

from local.aws.firehose.api import Firehose

__all__ = ["Firehose"]
