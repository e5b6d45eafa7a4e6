"""What the emulator does not know of crawlers: whether they run, and their crawls."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from statistics import median

from local.aws.protocol import Payload

KEPT_CRAWLS = 100


@dataclass
class CrawlerState:
    """One crawler; ``crawls`` are ListCrawls' entries, the newest last."""

    name: str
    state: str = "READY"
    last_crawl: Payload | None = None
    crawls: list[Payload] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    changes: Payload = field(default_factory=dict)  # of the last crawl, for GetCrawlerMetrics

    def described(self, crawler: Payload) -> Payload:
        """A definition as AWS sends it, with the crawler's true state."""
        shown = {name: value for name, value in crawler.items() if value not in (None, {}, "")}
        shown |= {"State": self.state, "CrawlElapsedTime": 0}
        shown.pop("LastCrawl", None)
        if self.last_crawl:
            shown["LastCrawl"] = self.last_crawl
        if self.state != "READY":
            shown["CrawlElapsedTime"] = round((time.time() - self.crawls[-1]["StartTime"]) * 1000)
        return shown

    def metrics(self) -> Payload:
        """An entry of GetCrawlerMetrics."""
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
