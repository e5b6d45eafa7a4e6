"""docker-compose.yaml, as Docker Compose reads it, and the Dockerfile's instructions, as data."""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from local.home import services as home_services
from local.settings import ROOT, TOOLS, Settings

PROGRAMS = TOOLS / "containers" / "bin"
FILE = ROOT / "docker-compose.yaml"
CODE, HOME = "/opt/sakila-streams", "/lake"  # the image's folders
SETTINGS = Settings(home=Path(HOME), port=14500)  # of the home in containers
HOME_SERVICES = {service.name: service for service in home_services(SETTINGS)}  # as local/home.py describes them


def compose_config(program: str | Path, *options: str) -> str:
    """The file as a version of Compose understands it, with every default; raises CalledProcessError."""
    command = [program, "--file", FILE, "config", *options]
    return subprocess.run(command, check=True, text=True, capture_output=True).stdout


@cache
def services() -> dict[str, dict[str, Any]]:
    """The file's services as the locked Compose understands them."""
    found: dict[str, dict[str, Any]] = json.loads(compose_config(PROGRAMS / "docker-compose", "--format=json"))[
        "services"
    ]
    return found


@dataclass(frozen=True)
class Instruction:
    """An instruction of the Dockerfile, and the stage to which it belongs."""

    stage: str
    name: str
    value: str

    @property
    def words(self) -> list[str]:
        return self.value.split()


@cache
def dockerfile() -> tuple[Instruction, ...]:
    """All instructions, with continued lines joined."""
    text = re.sub(r"^#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)
    found, stage = [], ""
    for line in re.sub(r"\\\n\s*", " ", text).splitlines():
        if line.strip():
            name, _, value = line.partition(" ")
            if name == "FROM":
                stage = value.split()[-1]
            found.append(Instruction(stage, name, value.strip()))
    return tuple(found)


def copied(stage: str) -> list[str]:
    """The files and folders that a stage copies from the checkout."""
    return [
        source
        for one in dockerfile()
        if one.stage == stage and one.name == "COPY" and "--from" not in one.value
        for source in one.words[:-1]
    ]


def image_environment() -> dict[str, str]:
    """The variables that the final stage sets."""
    pairs = [one.value for one in dockerfile() if one.stage == "home" and one.name == "ENV"]
    return dict(word.split("=", 1) for word in " ".join(pairs).split())
