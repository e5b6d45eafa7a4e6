"""Glue crawlers that really look. See ``api.GlueCrawler``."""

from local.aws.glue_crawler.api import GlueCrawler

__all__ = ["GlueCrawler"]
