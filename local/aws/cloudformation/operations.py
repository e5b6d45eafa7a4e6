"""What happens after CreateStack, UpdateStack and DeleteStack have answered.

The emulator makes its part first, then we make ours: our resources need values of the emulator's (key, roles, buckets),
while what the emulator's need of ours is known beforehand. A failure is rolled back as on AWS.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from infrastructure.cfn.intrinsics import Json
from local.aws.cloudformation import bucket_properties
from local.aws.cloudformation.emulated_stack import EmulatedStack
from local.aws.cloudformation.errors import Failure, errors_as_failures
from local.aws.cloudformation.own_resources import OwnResources
from local.aws.cloudformation.plan import Plan
from local.aws.cloudformation.resource_types.base import Context, OwnType
from local.aws.cloudformation.stacks import Deployed, Stack, Store, now

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


class Operations:
    """Runs one operation to its end; the caller gives each a thread."""

    def __init__(self, context: Context, store: Store, emulated: EmulatedStack, types: Mapping[str, OwnType]) -> None:
        self._context, self._store, self._emulated, self.types = context, store, emulated, types
        self._own = OwnResources(context, store, types)

    def plan(self, stack: Stack, deployed: Deployed) -> Plan:
        """The plan of a stack's template."""
        return Plan(stack, deployed, self.types, self._context.settings)

    def lost(self, stack: Stack, plan: Plan) -> set[str]:
        """Logical ids of resources that should exist and do not: a killed emulator forgets what it did not save."""
        made = {name for name in plan.ours if name in stack.resources and self._own.exists(stack.resources[name])}
        if self._emulated.holds(stack, plan.reduced):
            made |= plan.emulated
        return plan.resources.keys() - made

    def refuse(self, stack: Stack, denials: Mapping[str, str]) -> None:
        """End an update that the stack policy does not allow: {logical id: why}. Nothing was touched."""
        with errors_as_failures():
            plan = self.plan(stack, stack.target)
        for logical, why in denials.items():
            resource = stack.resources.get(logical)
            known = plan.template["Resources"].get(logical) or {"Type": resource.type if resource else ""}
            stack.add_event(logical, known["Type"], resource.physical if resource else "", "UPDATE_FAILED", why)
        names = ", ".join(denials)
        reason = f"The following resource(s) failed to update: [{names}]."
        stack.become("UPDATE_ROLLBACK_IN_PROGRESS", reason)
        if stack.previous:
            stack.target, stack.previous = stack.previous, None
        stack.become("UPDATE_ROLLBACK_COMPLETE")
        self._store.save(stack)

    def create(self, stack: Stack, plan: Plan) -> None:
        """Follow a creation that the emulator has begun."""
        try:
            self._apply(stack, plan, "CREATE")
            stack.become("CREATE_COMPLETE")
        except Failure as failure:
            stack.become("ROLLBACK_IN_PROGRESS", f"{failure} Rollback requested by user.")
            self._store.save(stack)
            try:
                self._remove_everything(stack, plan)
                stack.become("ROLLBACK_COMPLETE")
            except Failure as second:
                stack.become("ROLLBACK_FAILED", str(second))
        self._store.save(stack)

    def update(self, stack: Stack, plan: Plan) -> None:
        """Follow an update that the emulator has begun."""
        try:
            self._apply(stack, plan, "UPDATE")
            stack.become("UPDATE_COMPLETE_CLEANUP_IN_PROGRESS")
            self._own.clean_up(stack)
            stack.previous = None
            stack.become("UPDATE_COMPLETE")
        except Failure as failure:
            stack.become("UPDATE_ROLLBACK_IN_PROGRESS", str(failure))
            self._store.save(stack)
            self.roll_back(stack)
        self._store.save(stack)

    def roll_back(self, stack: Stack) -> None:
        """Roll an update back; after a failure this can be repeated."""
        try:
            if stack.previous is None:
                raise Failure("The state before the update is unknown")
            with errors_as_failures():
                plan = self.plan(stack, stack.previous)
                self._emulated.start(stack, stack.previous, plan.reduced)
            stack.target = stack.previous
            self._apply(stack, plan, "UPDATE")
            self._own.clean_up(stack)
            stack.previous = None
            stack.become("UPDATE_ROLLBACK_COMPLETE")
        except Failure as failure:
            stack.become("UPDATE_ROLLBACK_FAILED", str(failure))
        self._store.save(stack)

    def delete(self, stack: Stack, plan: Plan) -> None:
        """Remove a stack's resources except those that its template keeps."""
        try:
            self._remove_everything(stack, plan)
            stack.deleted = now()
            stack.outputs = []
            stack.become("DELETE_COMPLETE")
        except Failure as failure:
            stack.become("DELETE_FAILED", str(failure))
        self._store.save(stack)

    def _apply(self, stack: Stack, plan: Plan, prefix: str) -> None:
        """Bring the emulator's part to its end, then ours; raises Failure."""
        with errors_as_failures():
            failed: list[str] = []
            status = self._emulated.settle(stack, self._copy(stack, failed))
            self._store.save(stack)
            # an update without changes leaves the status of the emulator's operation before
            holds = status == "UPDATE_ROLLBACK_COMPLETE" and self._emulated.holds(stack, plan.reduced)
            if status not in ("CREATE_COMPLETE", "UPDATE_COMPLETE") and not holds:
                what = f"[{failed[0]}]" if failed else "the emulator's part"
                raise Failure(f"The following resource(s) failed to {prefix.lower()}: {what}.")
            resolver = plan.resolver(self._emulated.values(stack.name), self._secret)
            for logical in plan.buckets:
                given = plan.resources[logical]["Properties"]
                wanted = {name: given[name] for name in bucket_properties.PROPERTIES if name in given}
                bucket_properties.apply(self._context, resolver.value(wanted))
        for logical in plan.ours:
            self._own.make(stack, plan, resolver, logical, prefix)
        for logical in [name for name in stack.resources if name not in plan.ours]:
            self._own.set_aside(stack, logical)
        with errors_as_failures():
            stack.outputs = plan.outputs(resolver)
        self._store.save(stack)

    def _remove_everything(self, stack: Stack, plan: Plan) -> None:
        order = [name for name in plan.ours if name in stack.resources]
        order += [name for name in stack.resources if name not in order]
        for logical in reversed(order):
            self._own.remove(stack, logical)
        self._own.clean_up(stack)
        with errors_as_failures():
            self._remove_buckets(plan)
            self._emulated.delete(stack, self._copy(stack))

    def _remove_buckets(self, plan: Plan) -> None:
        """Delete the buckets ourselves: the emulator's CloudFormation would drop one that still holds objects."""
        s3: S3Client = self._context.clients("s3")
        for logical in plan.buckets:
            if plan.kept(logical):
                continue
            try:
                s3.delete_bucket(Bucket=plan.bucket_name(logical))
            except s3.exceptions.NoSuchBucket:
                continue
            except ClientError as error:
                message = error.response["Error"]["Message"]
                raise Failure(f"The following resource(s) failed to delete: [{logical}]. {message}") from error

    def _secret(self, secret_id: str) -> str:
        return str(self._context.clients("secretsmanager").get_secret_value(SecretId=secret_id)["SecretString"])

    @staticmethod
    def _copy(stack: Stack, failed: list[str] | None = None) -> Callable[[Json], None]:
        """A function that copies an event of the emulator to the stack, and adds what failed to ``failed``."""

        def copy(event: Json) -> None:
            logical, status = event["LogicalResourceId"], event["ResourceStatus"]
            if failed is not None and status.endswith("_FAILED"):
                failed.append(logical)
            physical, reason = event.get("PhysicalResourceId", ""), event.get("ResourceStatusReason", "")
            stack.add_event(logical, event["ResourceType"], physical, status, reason)

        return copy
