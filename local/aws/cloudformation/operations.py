"""What happens after CreateStack, UpdateStack and DeleteStack have answered.

The emulator makes its part first, then we ours: only our resources need values of the emulator's (key, roles, buckets),
never the other way round, for what the emulator needs of ours is known beforehand. A failure is rolled back as on AWS.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from botocore.exceptions import ClientError

from local.aws.cloudformation import supplements
from local.aws.cloudformation.emulated import EmulatedStack
from local.aws.cloudformation.own_resources import OwnResources, reasons
from local.aws.cloudformation.plan import Plan
from local.aws.cloudformation.stacks import Deployed, Stack, Store
from local.aws.cloudformation.types import Context, Failure, Json, OwnType
from local.aws.cloudformation.wire import now


class Operations:
    """Runs one operation to its end; the caller gives each a thread."""

    def __init__(self, context: Context, store: Store, emulated: EmulatedStack, types: Mapping[str, OwnType]) -> None:
        self._context, self._store, self._emulated, self.types = context, store, emulated, types
        self._own = OwnResources(context, store, types)

    def plan(self, stack: Stack, deployed: Deployed) -> Plan:
        """The plan of a stack's template."""
        return Plan(stack, deployed, self.types, self._context.settings)

    def lost(self, stack: Stack, plan: Plan) -> set[str]:
        """Logical ids of what should be there and is not: a killed emulator forgets what it did not save."""
        made = {name for name in plan.ours if name in stack.resources and self._own.exists(stack.resources[name])}
        if self._emulated.holds(stack.name, plan.reduced, stack.target):
            made |= plan.emulated
        return plan.resources.keys() - made

    def refuse(self, stack: Stack, denials: Mapping[str, str]) -> None:
        """End an update that the stack policy does not allow: {logical id: why}. Nothing was touched."""
        with reasons():
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
            self.go_back(stack)
        self._store.save(stack)

    def go_back(self, stack: Stack) -> None:
        """Make the stack what it was before the update; a failure leaves it such that this can be repeated."""
        try:
            if stack.previous is None:
                raise Failure("The state before the update is unknown")
            with reasons():
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
        """Remove a stack's resources, but for those that its template keeps."""
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
        with reasons():
            failed: list[str] = []
            status = self._emulated.settle(stack, self._copy(stack, failed))
            self._store.save(stack)
            # an update without changes leaves the status of the emulator's operation before
            holds = status == "UPDATE_ROLLBACK_COMPLETE" and self._emulated.holds(
                stack.name, plan.reduced, stack.target
            )
            if status not in ("CREATE_COMPLETE", "UPDATE_COMPLETE") and not holds:
                what = f"[{failed[0]}]" if failed else "the emulator's part"
                raise Failure(f"The following resource(s) failed to {prefix.lower()}: {what}.")
            resolver = plan.resolver(self._emulated.values(stack.name), self._secret)
            for logical in plan.buckets:
                given = plan.resources[logical]["Properties"]
                wanted = {name: given[name] for name in supplements.PROPERTIES if name in given}
                supplements.apply(self._context, resolver.value(wanted))
        for logical in plan.ours:
            self._own.make(stack, plan, resolver, logical, prefix)
        for logical in [name for name in stack.resources if name not in plan.ours]:
            self._own.set_aside(stack, logical)
        with reasons():
            stack.outputs = plan.outputs(resolver)
        self._store.save(stack)

    def _remove_everything(self, stack: Stack, plan: Plan) -> None:
        order = [name for name in plan.ours if name in stack.resources]
        order += [name for name in stack.resources if name not in order]
        for logical in reversed(order):
            resource = stack.resources[logical]
            if resource.keeps:
                stack.add_event(logical, resource.type, resource.physical, "DELETE_SKIPPED")
            else:
                self._own.remove(stack, logical, resource)
            del stack.resources[logical]
            self._store.save(stack)
        self._own.clean_up(stack)
        with reasons():
            self._remove_buckets(plan)
            self._emulated.delete(stack, self._copy(stack))

    def _remove_buckets(self, plan: Plan) -> None:
        """Delete the buckets ourselves: the emulator's CloudFormation would drop one that still holds objects."""
        s3 = self._context.clients("s3")
        for logical in plan.buckets:
            if plan.kept(logical):
                continue
            try:
                s3.delete_bucket(Bucket=plan.bucket_name(logical))
            except s3.exceptions.NoSuchBucket:
                continue
            except ClientError as error:
                stated = error.response["Error"]
                raise Failure(
                    f"The following resource(s) failed to delete: [{logical}]. {stated['Message']}"
                ) from error

    def _secret(self, secret_id: str) -> str:
        return str(self._context.clients("secretsmanager").get_secret_value(SecretId=secret_id)["SecretString"])

    @staticmethod
    def _copy(stack: Stack, failed: list[str] | None = None) -> Callable[[Json], None]:
        """Hands the emulator's events on; names what failed in ``failed``."""

        def copy(event: Json) -> None:
            if failed is not None and event["ResourceStatus"].endswith("_FAILED"):
                failed.append(event["LogicalResourceId"])
            stack.add_event(
                event["LogicalResourceId"],
                event["ResourceType"],
                event.get("PhysicalResourceId", ""),
                event["ResourceStatus"],
                event.get("ResourceStatusReason", ""),
            )

        return copy
