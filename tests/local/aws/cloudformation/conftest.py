"""One server for all tests of small stacks."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from local.aws.cloudformation import CloudFormation
from local.aws.glue_catalog import GlueCatalog
from tests.local.aws.cloudformation.stacks import Stacks
from tests.support.aws_services import LakeServer, running_emulator, running_server


@pytest.fixture(scope="package")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LakeServer]:
    folder = tmp_path_factory.mktemp("cloudformation")
    with running_emulator(folder) as emulator, running_server(emulator, (GlueCatalog, CloudFormation)) as running:
        yield running


@pytest.fixture
def stacks(server: LakeServer, request: pytest.FixtureRequest) -> Iterator[Stacks]:
    name = request.node.name.replace("_", "-").replace("[", "-").replace("]", "")[:60]
    found = Stacks(server, name)
    yield found
    found.client.delete_stack(StackName=name)
    found.settled()
