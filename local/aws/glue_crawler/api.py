"""The actions on Glue crawlers. The emulator stores the definitions; ``crawl.Crawl`` does the crawls.

Refused: targets other than S3, exclusions, custom classifiers, schedules, S3 events, deletion or deprecation in the
catalog. Each S3 target becomes one table. Fields that no sampled object has stay in the table and are logged, because
the objects that were not sampled may have them.
"""

from __future__ import annotations

import json
import logging
import threading
import time
import uuid
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from local.aws.glue_crawler.crawl import Crawl, CrawlCancelled, CrawlFailed
from local.aws.glue_crawler.crawler_state import KEPT_CRAWLS, CrawlerState
from local.aws.glue_service import GlueService, create_log_stream, one_page, role_arn
from local.aws.protocol import AwsError, Handler, Payload, Request, Services
from local.engines.files import write_atomically

if TYPE_CHECKING:
    from mypy_boto3_logs.type_defs import InputLogEventTypeDef

log = logging.getLogger("glue_crawler")

LOG_GROUP = "/aws-glue/crawlers"
SESSION_NAME = "AWS-Crawler"  # as on AWS
SCHEDULES = ("StartCrawlerSchedule", "StopCrawlerSchedule", "UpdateCrawlerSchedule")


class GlueCrawler(GlueService):
    """The actions of the service ``glue`` on crawlers and their crawls."""

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        self._folder: Path = services.settings.data / "glue_crawler"
        self._lock = threading.RLock()
        self._states: dict[str, CrawlerState] = {}
        self._threads: dict[str, threading.Thread] = {}
        self._closing = False
        for path in self._folder.glob("*.json"):
            state = CrawlerState(**json.loads(path.read_text()))
            self._states[state.name] = state
        self.actions: dict[str, Handler] = {
            "CreateCrawler": self._create_crawler,
            "UpdateCrawler": self._update_crawler,
            "DeleteCrawler": self._delete_crawler,
            "GetCrawler": self._get_crawler,
            "GetCrawlers": self._get_crawlers,
            "ListCrawlers": self._list_crawlers,
            "GetCrawlerMetrics": self._get_crawler_metrics,
            "ListCrawls": self._list_crawls,
            "StartCrawler": self._start_crawler,
            "StopCrawler": self._stop_crawler,
            **dict.fromkeys(SCHEDULES, self._no_schedules),
        }

    def start(self) -> None:
        """Mark crawls that a kill of the server ended as failed; all that they leave are partitions that they added."""
        for state in self._states.values():
            if state.state != "READY":
                self._end(state, "FAILED", "The local home's server was killed while the crawler ran.", 0.0)

    def stop(self) -> None:
        """Cancel the crawls in progress and wait for their end."""
        self._closing = True
        for thread in list(self._threads.values()):
            thread.join()

    # definitions

    def _create_crawler(self, request: Request) -> Payload:
        self._authorize(request, f"crawler/{request.payload['Name']}")
        self._authorize_role(request, request.payload["Role"])
        _refuse_unsupported(request.payload)
        return self._call("CreateCrawler", request.payload)

    def _update_crawler(self, request: Request) -> Payload:
        name = request.payload["Name"]
        self._authorize(request, f"crawler/{name}")
        if "Role" in request.payload:
            self._authorize_role(request, request.payload["Role"])
        _refuse_unsupported(request.payload)
        self._refuse_running(name)
        return self._call("UpdateCrawler", request.payload)

    def _delete_crawler(self, request: Request) -> Payload:
        name = request.payload["Name"]
        self._authorize(request, f"crawler/{name}")
        self._refuse_running(name)
        reply = self._call("DeleteCrawler", request.payload)
        with self._lock:
            if self._states.pop(name, None):
                self._path(name).unlink(missing_ok=True)
        return reply

    def _get_crawler(self, request: Request) -> Payload:
        self._authorize(request, f"crawler/{request.payload['Name']}")
        crawler = self._definition(request.payload["Name"])
        return {"Crawler": self._state(crawler["Name"]).description(crawler)}

    def _get_crawlers(self, request: Request) -> Payload:
        self._authorize(request, "crawler/*")
        crawlers = self._call("GetCrawlers", {})["Crawlers"]
        return {"Crawlers": [self._state(crawler["Name"]).description(crawler) for crawler in crawlers]}

    def _list_crawlers(self, request: Request) -> Payload:
        self._authorize(request, "crawler/*")
        return {"CrawlerNames": sorted(crawler["Name"] for crawler in self._call("GetCrawlers", {})["Crawlers"])}

    # crawls

    def _start_crawler(self, request: Request) -> Payload:
        name = request.payload["Name"]
        self._authorize(request, f"crawler/{name}")
        crawler = self._definition(name)
        _refuse_unsupported(crawler)
        with self._lock:
            self._refuse_running(name)
            state = self._states.setdefault(name, CrawlerState(name))
            state.state, state.changes = "RUNNING", {}
            state.crawls.append({"CrawlId": str(uuid.uuid4()), "State": "RUNNING", "StartTime": time.time()})
            del state.crawls[:-KEPT_CRAWLS]
            self._save(state)
            thread = threading.Thread(target=self._crawl, args=(crawler, state), name=f"crawl-{name}", daemon=True)
            self._threads[name] = thread
            thread.start()
        return {}

    def _stop_crawler(self, request: Request) -> Payload:
        name = request.payload["Name"]
        self._authorize(request, f"crawler/{name}")
        self._definition(name)
        with self._lock:
            state = self._states.get(name)
            if state is None or state.state == "READY":
                raise AwsError("CrawlerNotRunningException", f"Crawler with name {name} isn't running")
            if state.state == "STOPPING":
                raise AwsError("CrawlerStoppingException", f"Crawler with name {name} is stopping already")
            state.state = "STOPPING"
            self._save(state)
        return {}

    def _get_crawler_metrics(self, request: Request) -> Payload:
        self._authorize(request, "crawler/*")
        names = request.payload.get("CrawlerNameList") or [c["Name"] for c in self._call("GetCrawlers", {})["Crawlers"]]
        return {"CrawlerMetricsList": [self._state(name).metrics() for name in names]}

    def _list_crawls(self, request: Request) -> Payload:
        name = request.payload["CrawlerName"]
        self._authorize(request, f"crawler/{name}")
        self._definition(name)
        return one_page(self._state(name).crawls[::-1], request, "Crawls", size=20)

    def _no_schedules(self, request: Request) -> Payload:
        raise AwsError("UnknownOperationException", f"glue:{request.action}: the local home does not schedule crawlers")

    def _crawl(self, crawler: Payload, state: CrawlerState) -> None:
        """Crawl and store the outcome; runs in a thread of its own."""
        started = time.time()
        entry = state.crawls[-1]
        lines: list[str] = []

        def log_line(line: str) -> None:
            lines.append(f"[{entry['CrawlId']}] {line}")
            log.info("%s: %s", state.name, line)

        def check_cancelled() -> None:
            if self._closing or state.state == "STOPPING":
                raise CrawlCancelled

        status, error = "SUCCEEDED", ""
        log_line(f"BENCHMARK : Running Start Crawl for Crawler {state.name}")
        role = role_arn(crawler["Role"])
        try:
            session = self._services.session(role, SESSION_NAME)
            outcome = Crawl(crawler, session, self._services.settings, log_line, check_cancelled).run()
            state.changes = asdict(outcome)
        except CrawlCancelled:
            status = "CANCELLED"
        except (AwsError, CrawlFailed) as failure:
            status, error = "FAILED", failure.message if isinstance(failure, AwsError) else str(failure)
        except Exception as failure:
            log.exception("%s", state.name)
            status, error = "FAILED", f"The local home failed: {failure}"
        if error:
            log_line(f"ERROR : {error}")
        log_line(f"BENCHMARK : Crawler has finished running and is in state READY after {status}")
        self._put_log(role, state.name, lines)
        self._end(state, status, error, time.time() - started)
        self._threads.pop(state.name, None)

    def _end(self, state: CrawlerState, status: str, error: str, seconds: float) -> None:
        with self._lock:
            entry = state.crawls[-1]
            where = {"LogGroup": LOG_GROUP, "LogStream": state.name, "MessagePrefix": entry["CrawlId"]}
            message = {"ErrorMessage": error} if error else {}
            entry |= {**where, **message, "EndTime": time.time(), "Summary": json.dumps(state.changes)}
            entry["State"] = {"SUCCEEDED": "COMPLETED", "CANCELLED": "STOPPED"}.get(status, status)
            state.last_crawl = {"Status": status, **message, **where, "StartTime": entry["StartTime"]}
            state.seconds = [*state.seconds, round(seconds, 3)][-KEPT_CRAWLS:]
            state.state = "READY"
            self._save(state)

    def _put_log(self, role: str, name: str, lines: list[str]) -> None:
        try:
            logs = self._services.session(role, SESSION_NAME).client("logs")
            create_log_stream(logs, LOG_GROUP, name)
            now = int(time.time() * 1000)
            events: list[InputLogEventTypeDef] = [{"timestamp": now, "message": line} for line in lines]
            logs.put_log_events(logGroupName=LOG_GROUP, logStreamName=name, logEvents=events)
        except (AwsError, ClientError, BotoCoreError) as error:  # as on AWS, a crawl succeeds without its log
            log.warning("%s: the log could not be written to CloudWatch: %s", name, error)

    def _definition(self, name: str) -> Payload:
        crawler: Payload = self._call("GetCrawler", {"Name": name})["Crawler"]
        return crawler

    def _state(self, name: str) -> CrawlerState:
        return self._states.get(name) or CrawlerState(name)

    def _refuse_running(self, name: str) -> None:
        state = self._states.get(name)
        if state is not None and state.state != "READY":
            raise AwsError("CrawlerRunningException", f"Crawler with name {name} has already started")

    def _save(self, state: CrawlerState) -> None:
        write_atomically(self._path(state.name), json.dumps(asdict(state)))

    def _path(self, name: str) -> Path:
        return self._folder / f"{name.encode().hex()}.json"


def _refuse_unsupported(crawler: Payload) -> None:
    """Raise InvalidInputException naming the parts of a definition that are not supported here."""
    refused = [kind for kind, targets in crawler.get("Targets", {}).items() if targets and kind != "S3Targets"]
    s3 = crawler.get("Targets", {}).get("S3Targets", [])
    refused += [field for target in s3 for field in ("Exclusions", "EventQueueArn") if target.get(field)]
    refused += [field for field in ("Classifiers", "Schedule") if crawler.get(field)]
    policy = crawler.get("SchemaChangePolicy", {}).get("DeleteBehavior", "LOG")
    if policy != "LOG":
        refused.append(f"SchemaChangePolicy.DeleteBehavior {policy}")
    if crawler.get("RecrawlPolicy", {}).get("RecrawlBehavior") == "CRAWL_EVENT_MODE":
        refused.append("RecrawlPolicy CRAWL_EVENT_MODE")
    if refused:
        raise AwsError("InvalidInputException", f"The local home does not run crawlers with {', '.join(refused)}")
