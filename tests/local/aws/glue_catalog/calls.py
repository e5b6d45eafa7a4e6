"""Calls and definitions that the tests of the Glue catalog share."""

from __future__ import annotations

import json
import urllib.request
from typing import Any

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from local.settings import Settings

ONCE = Config(retries={"max_attempts": 0})
MONTHS = {"Name": "events", "PartitionKeys": [{"Name": "year", "Type": "string"}, {"Name": "month", "Type": "int"}]}


def refused(call: Any, **arguments: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


def replay(settings: Settings) -> Any:
    token = settings.home_token.read_text()
    url = f"{settings.server_url}/internal/replay"
    request = urllib.request.Request(url, headers={"Authorization": token}, method="POST")
    with urllib.request.urlopen(request, timeout=30) as reply:
        return json.load(reply)["GlueCatalog"]
