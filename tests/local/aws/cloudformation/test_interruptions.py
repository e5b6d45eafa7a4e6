"""Operations on stacks that a kill of the server or of the emulator interrupts."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from local.aws.cloudformation import CloudFormation
from local.aws.cloudformation.stacks import INTERRUPTED, ChangeSet, Deployed, Stack, Store
from local.aws.glue_catalog import GlueCatalog
from tests.local.aws.cloudformation.stacks import Stacks, database, queue, stack_of
from tests.support.aws_services import Emulator, LakeServer, running_emulator, running_server


@pytest.mark.services
def test_a_kill_in_the_middle_can_be_repeated(tmp_path: Path) -> None:
    """The server dies while our part is under way; the emulator, killed before it saved, has forgotten its part."""
    name = "interrupted"
    template = stack_of(
        Q=queue("interrupted-q"), A=database("interrupted_a"), B={**database("interrupted_b"), "DependsOn": "A"}
    )
    template["Resources"]["Bucket"] = {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": "interrupted-bucket"}}
    with running_emulator(tmp_path) as emulator:
        with running_server(emulator, (GlueCatalog, CloudFormation)) as server:
            reached, go_on = _stop_before(server, "interrupted_b")
            stacks = Stacks(server, name)
            stacks.client.create_stack(StackName=name, TemplateBody=json.dumps(template))
            assert reached.wait(30)
            saved = _copy_of_state(emulator)
            go_on.set()
        _restore_state(emulator, saved)
        emulator.kill()
        emulator.start()
        with running_server(emulator, (GlueCatalog, CloudFormation)) as server:
            stacks = Stacks(server, name)
            stack = stacks.describe()
            assert (stack["StackStatus"], stack["StackStatusReason"]) == ("CREATE_FAILED", INTERRUPTED)
            assert stacks.delete() == ""
            assert stacks.create(template) == "CREATE_COMPLETE"
            assert stacks.databases() == {"interrupted_a", "interrupted_b"}

            emulator.kill()  # it never saved: all but its buckets is gone
            emulator.start()
            assert stacks.queues() == []
            stacks.client.update_stack(StackName=name, TemplateBody=json.dumps(template))
            assert stacks.settled() == "UPDATE_COMPLETE"
            assert stacks.queues() == ["interrupted-q"]
            assert stacks.databases() == {"interrupted_a", "interrupted_b"}


def _stop_before(server: LakeServer, database_name: str) -> tuple[threading.Event, threading.Event]:
    """Hold the creation of a database: as far as the state on disk goes, the server dies there."""
    catalog = next(one for one in server.server.apis if isinstance(one, GlueCatalog))
    create: Callable[..., Any] = catalog.actions["CreateDatabase"]
    reached, go_on = threading.Event(), threading.Event()

    def hold(request: Any) -> Any:
        if request.payload["DatabaseInput"]["Name"] == database_name:
            reached.set()
            go_on.wait(30)
        return create(request)

    catalog.actions = {**catalog.actions, "CreateDatabase": hold}
    return reached, go_on


def _copy_of_state(emulator: Emulator) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in (emulator.settings.data / "cloudformation").iterdir()}


def _restore_state(emulator: Emulator, saved: dict[Path, bytes]) -> None:
    for path, content in saved.items():
        path.write_bytes(content)


def test_an_interrupted_operation_has_failed(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for name, status in (
        ("a", "CREATE_IN_PROGRESS"),
        ("b", "UPDATE_ROLLBACK_IN_PROGRESS"),
        ("c", "DELETE_IN_PROGRESS"),
    ):
        store.save(Stack(name, Deployed("{}", {}, [], []), status=status))
    store.save(Stack("d", Deployed("{}", {}, [], []), status="CREATE_COMPLETE"))
    again = Store(tmp_path)
    again.load()
    assert {stack.name: stack.status for stack in again} == {
        "a": "CREATE_FAILED", "b": "UPDATE_FAILED", "c": "DELETE_FAILED", "d": "CREATE_COMPLETE",
    }  # fmt: skip
    assert (tmp_path / "a.json").stat().st_mode & 0o777 == 0o600


def test_a_change_set_that_was_interrupted_has_failed(tmp_path: Path) -> None:
    store, deployed = Store(tmp_path), Deployed("{}", {}, [], [])
    half = ChangeSet("c", "arn", "UPDATE", deployed, status="CREATE_IN_PROGRESS")
    begun = ChangeSet("d", "arn:d", "UPDATE", deployed, status="CREATE_COMPLETE", execution="EXECUTE_IN_PROGRESS")
    store.save(Stack("s", deployed, status="UPDATE_IN_PROGRESS", change_sets=[half, begun], policy="{}"))
    again = Store(tmp_path)
    again.load()
    stack = again.find("s")
    assert stack is not None
    assert [(one.status, one.execution) for one in stack.change_sets] == [
        ("FAILED", "UNAVAILABLE"), ("CREATE_COMPLETE", "EXECUTE_FAILED"),
    ]  # fmt: skip
    assert (stack.change_sets[0].reason, stack.policy) == (INTERRUPTED, "{}")


def test_the_end_of_a_deletion_does_not_overwrite_a_new_stack_of_that_name(tmp_path: Path) -> None:
    store, deployed = Store(tmp_path), Deployed("{}", {}, [], [])
    deleted = Stack("s", deployed, status="DELETE_COMPLETE")
    store.save(deleted)
    store.save(new := Stack("s", deployed))
    store.save(deleted)  # by the thread that has deleted it
    assert store.find("s") is new
    again = Store(tmp_path)
    again.load()
    assert [stack.id for stack in again] == [new.id]
