"""Glue crawlers: definitions are kept by the emulator, crawls really list, sample and infer (``crawl.Crawl``).

Left out, with a clear error: targets other than S3, exclusions, custom classifiers, schedules, S3 events, deletion or
deprecation in the catalog. One table is made of each S3 target. Fields that no sampled object has stay in the table and
are logged: a sample proves no absence.
"""

from __future__ import annotations

import json
import logging
import threading
import time
import uuid
from dataclasses import asdict
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from local.aws.glue_crawler.crawl import Cancelled, Crawl, CrawlFailed
from local.aws.glue_crawler.states import KEPT_CRAWLS, CrawlerState
from local.aws.protocol import AwsError, Handler, Payload, Request, Services
from local.aws.settings import ACCOUNT, REGION
from local.engines.files import write_atomically

log = logging.getLogger("glue_crawler")

LOG_GROUP = "/aws-glue/crawlers"
SESSION_NAME = "AWS-Crawler"  # as on AWS
SCHEDULES = ("StartCrawlerSchedule", "StopCrawlerSchedule", "UpdateCrawlerSchedule")


class GlueCrawler:
    """Crawlers and their crawls."""

    service = "glue"
    passes_through = True

    def __init__(self, services: Services) -> None:
        self._services = services
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
        """Say what became of crawls that a kill of the server ended; nothing half-done is left, only partitions."""
        for state in self._states.values():
            if state.state != "READY":
                self._end(state, "FAILED", "The local home's server was killed while the crawler ran.", 0.0)

    def stop(self) -> None:
        """End crawls under way and wait for it."""
        self._closing = True
        for thread in list(self._threads.values()):
            thread.join()

    # definitions

    def _create_crawler(self, request: Request) -> Payload:
        self._authorize(request, request.payload["Name"])
        self._services.authorize(request.caller, "iam:PassRole", _role_arn(request.payload["Role"]))
        _check(request.payload)
        return self._call("CreateCrawler", request.payload)

    def _update_crawler(self, request: Request) -> Payload:
        name = request.payload["Name"]
        self._authorize(request, name)
        if "Role" in request.payload:
            self._services.authorize(request.caller, "iam:PassRole", _role_arn(request.payload["Role"]))
        _check(request.payload)
        self._refuse_running(name)
        return self._call("UpdateCrawler", request.payload)

    def _delete_crawler(self, request: Request) -> Payload:
        name = request.payload["Name"]
        self._authorize(request, name)
        self._refuse_running(name)
        reply = self._call("DeleteCrawler", request.payload)
        with self._lock:
            if self._states.pop(name, None):
                self._path(name).unlink(missing_ok=True)
        return reply

    def _get_crawler(self, request: Request) -> Payload:
        self._authorize(request, request.payload["Name"])
        crawler = self._definition(request.payload["Name"])
        return {"Crawler": self._state(crawler["Name"]).described(crawler)}

    def _get_crawlers(self, request: Request) -> Payload:
        self._authorize(request, "*")
        crawlers = self._call("GetCrawlers", {})["Crawlers"]
        return {"Crawlers": [self._state(crawler["Name"]).described(crawler) for crawler in crawlers]}

    def _list_crawlers(self, request: Request) -> Payload:
        self._authorize(request, "*")
        return {"CrawlerNames": sorted(crawler["Name"] for crawler in self._call("GetCrawlers", {})["Crawlers"])}

    # crawls

    def _start_crawler(self, request: Request) -> Payload:
        name = request.payload["Name"]
        self._authorize(request, name)
        crawler = self._definition(name)
        _check(crawler)
        with self._lock:
            self._refuse_running(name)
            state = self._states.setdefault(name, CrawlerState(name))
            prefix = str(uuid.uuid4())
            state.state, state.changes = "RUNNING", {}
            state.crawls.append({"CrawlId": prefix, "State": "RUNNING", "StartTime": time.time()})
            del state.crawls[:-KEPT_CRAWLS]
            self._save(state)
            thread = threading.Thread(target=self._crawl, args=(crawler, state), name=f"crawl-{name}", daemon=True)
            self._threads[name] = thread
            thread.start()
        return {}

    def _stop_crawler(self, request: Request) -> Payload:
        name = request.payload["Name"]
        self._authorize(request, name)
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
        self._authorize(request, "*")
        names = request.payload.get("CrawlerNameList") or [c["Name"] for c in self._call("GetCrawlers", {})["Crawlers"]]
        return {"CrawlerMetricsList": [self._state(name).metrics() for name in names]}

    def _list_crawls(self, request: Request) -> Payload:
        name = request.payload["CrawlerName"]
        self._authorize(request, name)
        self._definition(name)
        crawls = self._state(name).crawls[::-1]
        first = int(request.payload.get("NextToken") or 0)
        last = first + int(request.payload.get("MaxResults") or 20)
        reply: Payload = {"Crawls": crawls[first:last]}
        return reply | ({"NextToken": str(last)} if last < len(crawls) else {})

    def _no_schedules(self, request: Request) -> Payload:
        raise AwsError("UnknownOperationException", f"glue:{request.action}: the local home schedules no crawlers")

    # one crawl, in its thread

    def _crawl(self, crawler: Payload, state: CrawlerState) -> None:
        started = time.time()
        entry = state.crawls[-1]
        lines: list[str] = []

        def say(line: str) -> None:
            lines.append(f"[{entry['CrawlId']}] {line}")
            log.info("%s: %s", state.name, line)

        def check() -> None:
            if self._closing or state.state == "STOPPING":
                raise Cancelled

        status, error = "SUCCEEDED", ""
        say(f"BENCHMARK : Running Start Crawl for Crawler {state.name}")
        role = _role_arn(crawler["Role"])
        try:
            session = self._services.session(role, SESSION_NAME)
            outcome = Crawl(crawler, session, self._services.settings, say, check).run()
            state.changes = asdict(outcome)
        except Cancelled:
            status = "CANCELLED"
        except AwsError as refusal:
            status, error = "FAILED", refusal.message
        except CrawlFailed as failure:
            status, error = "FAILED", str(failure)
        except Exception as failure:
            log.exception("%s", state.name)
            status, error = "FAILED", f"The local home failed: {failure}"
        if error:
            say(f"ERROR : {error}")
        say(f"BENCHMARK : Crawler has finished running and is in state READY after {status}")
        self._put_log(role, state.name, lines)
        self._end(state, status, error, time.time() - started)
        self._threads.pop(state.name, None)

    def _end(self, state: CrawlerState, status: str, error: str, seconds: float) -> None:
        with self._lock:
            entry = state.crawls[-1]
            where = {"LogGroup": LOG_GROUP, "LogStream": state.name, "MessagePrefix": entry["CrawlId"]}
            told = {"ErrorMessage": error} if error else {}
            entry |= {**where, **told, "EndTime": time.time(), "Summary": json.dumps(state.changes)}
            entry["State"] = {"SUCCEEDED": "COMPLETED", "CANCELLED": "STOPPED"}.get(status, status)
            state.last_crawl = {"Status": status, **told, **where, "StartTime": entry["StartTime"]}
            state.seconds = [*state.seconds, round(seconds, 3)][-KEPT_CRAWLS:]
            state.state = "READY"
            self._save(state)

    def _put_log(self, role: str, name: str, lines: list[str]) -> None:
        try:
            logs: Any = self._services.session(role, SESSION_NAME).client("logs")
            for make in (
                lambda: logs.create_log_group(logGroupName=LOG_GROUP),
                lambda: logs.create_log_stream(logGroupName=LOG_GROUP, logStreamName=name),
            ):
                try:
                    make()
                except logs.exceptions.ResourceAlreadyExistsException:
                    continue
            now = int(time.time() * 1000)
            events = [{"timestamp": now, "message": line} for line in lines]
            logs.put_log_events(logGroupName=LOG_GROUP, logStreamName=name, logEvents=events)
        except (AwsError, ClientError, BotoCoreError) as error:  # as on AWS, a crawl does not fail for want of its log
            log.warning("%s: its log is not in CloudWatch: %s", name, error)

    # small things

    def _definition(self, name: str) -> Payload:
        crawler: Payload = self._call("GetCrawler", {"Name": name})["Crawler"]
        return crawler

    def _state(self, name: str) -> CrawlerState:
        return self._states.get(name) or CrawlerState(name)

    def _refuse_running(self, name: str) -> None:
        state = self._states.get(name)
        if state is not None and state.state != "READY":
            raise AwsError("CrawlerRunningException", f"Crawler with name {name} has already started")

    def _authorize(self, request: Request, crawler: str) -> None:
        arn = f"arn:aws:glue:{REGION}:{ACCOUNT}:crawler/{crawler}"
        self._services.authorize(request.caller, f"glue:{request.action}", arn)

    def _call(self, action: str, payload: Payload) -> Payload:
        return self._services.call_as_root("glue", f"AWSGlue.{action}", payload)

    def _save(self, state: CrawlerState) -> None:
        write_atomically(self._path(state.name), json.dumps(asdict(state)))

    def _path(self, name: str) -> Path:
        return self._folder / f"{name.encode().hex()}.json"


def _role_arn(role: str) -> str:
    return role if role.startswith("arn:") else f"arn:aws:iam::{ACCOUNT}:role/{role}"


def _check(crawler: Payload) -> None:
    """Refuse, by name, what a definition asks for and a crawl here would not do."""
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
        raise AwsError("InvalidInputException", f"The local home runs no crawlers with {', '.join(refused)}")
