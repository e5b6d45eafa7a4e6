"""What the emulator does not store about a crawler: whether it runs, and its crawls."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from statistics import median

from local.aws.protocol import Payload

KEPT_CRAWLS = 100


@dataclass
class CrawlerState:
    """The state of one crawler; ``crawls`` are the entries of ListCrawls, the newest last."""

    name: str
    state: str = "READY"
    last_crawl: Payload | None = None
    crawls: list[Payload] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)  # duration of each crawl
    changes: Payload = field(default_factory=dict)  # of the last crawl, for GetCrawlerMetrics

    def description(self, crawler: Payload) -> Payload:
        """A crawler's definition as AWS returns it, with its state and last crawl."""
        shown = {name: value for name, value in crawler.items() if value not in (None, {}, "")}
        shown |= {"State": self.state, "CrawlElapsedTime": 0}
        shown.pop("LastCrawl", None)
        if self.last_crawl:
            shown["LastCrawl"] = self.last_crawl
        if self.state != "READY":
            shown["CrawlElapsedTime"] = round((time.time() - self.crawls[-1]["StartTime"]) * 1000)
        return shown

    def metrics(self) -> Payload:
        """The crawler's entry in the reply to GetCrawlerMetrics."""
        return {
            "CrawlerName": self.name,
            "TimeLeftSeconds": 0.0,
            "StillEstimating": self.state != "READY",
            "LastRuntimeSeconds": self.seconds[-1] if self.seconds else 0.0,
            "MedianRuntimeSeconds": median(self.seconds) if self.seconds else 0.0,
            "TablesCreated": len(self.changes.get("tables_created", ())),
            "TablesUpdated": len(self.changes.get("tables_updated", ())),
            "TablesDeleted": 0,
        }
