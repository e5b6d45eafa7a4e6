"""Amazon Data Firehose, Direct PUT to S3. ``api.Firehose`` says what is served and what is not."""

from local.aws.firehose.api import Firehose

__all__ = ["Firehose"]
