"""Glue crawlers: they list and sample the objects of an S3 target and make a table with partitions of them.

``api`` has the actions and says what is served; ``crawler_state`` is what is stored about a crawler and its crawls.
``crawl`` is one crawl: ``folders`` finds the partitions, ``formats`` recognises an object's format and fields,
``hive_types`` merges the fields' types, and ``tables`` has the parts of a table's definition and its changes.
"""

from local.aws.glue_crawler.api import GlueCrawler

__all__ = ["GlueCrawler"]
