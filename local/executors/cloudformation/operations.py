"""What happens after CreateStack, UpdateStack and DeleteStack have answered.

The emulator makes its part first, then we ours: only our resources need values of the emulator's (key, roles, buckets),
never the other way round, for what the emulator needs of ours is known beforehand. A failure is rolled back as on AWS.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from local.executors.cloudformation import supplements
from local.executors.cloudformation.emulated import EmulatedStack
from local.executors.cloudformation.intrinsics import Resolver
from local.executors.cloudformation.plan import SECRET_PROPERTIES, Plan, digest
from local.executors.cloudformation.stacks import Deployed, Resource, Stack, Store
from local.executors.cloudformation.types import RECORDED, Context, Failure, Json, OwnType, without
from local.executors.cloudformation.wire import now
from local.executors.protocol import AwsError

log = logging.getLogger("cloudformation")


class Operations:
    """Runs one operation to its end; the caller gives each a thread."""

    def __init__(self, context: Context, store: Store, emulated: EmulatedStack, types: Mapping[str, OwnType]) -> None:
        self._context, self._store, self._emulated, self._types = context, store, emulated, types

    def plan(self, stack: Stack, deployed: Deployed) -> Plan:
        """The plan of a stack's template."""
        return Plan(stack, deployed, self._types, self._context.settings)

    def intact(self, stack: Stack, plan: Plan) -> bool:
        """Whether everything that the stack made is still there."""
        if not self._emulated.holds(stack.name, plan.reduced, stack.target):
            return False
        return not stack.leftovers and all(
            name in stack.resources and self._exists(stack.resources[name]) for name in plan.ours
        )

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
            self._clean_up(stack)
            stack.previous = None
            stack.become("UPDATE_COMPLETE")
        except Failure as failure:
            stack.become("UPDATE_ROLLBACK_IN_PROGRESS", str(failure))
            self._store.save(stack)
            try:
                self._go_back(stack)
                stack.become("UPDATE_ROLLBACK_COMPLETE")
            except (Failure, AwsError) as second:
                stack.become("UPDATE_ROLLBACK_FAILED", str(second))
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
        with _reasons():
            status = self._emulated.settle(stack, self._copy(stack))
            self._store.save(stack)
            # an update without changes leaves the status of the emulator's operation before
            holds = status == "UPDATE_ROLLBACK_COMPLETE" and self._emulated.holds(
                stack.name, plan.reduced, stack.target
            )
            if status not in ("CREATE_COMPLETE", "UPDATE_COMPLETE") and not holds:
                raise Failure(self._emulated.failure(stack))
            resolver = plan.resolver(self._emulated.values(stack.name), self._secret)
            for logical in plan.buckets:
                given = plan.resources[logical]["Properties"]
                wanted = {name: given[name] for name in supplements.PROPERTIES if name in given}
                supplements.apply(self._context, resolver.value(wanted))
        for logical in plan.ours:
            self._make(stack, plan, resolver, logical, prefix)
        for logical in [name for name in stack.resources if name not in plan.ours]:
            self._set_aside(stack, logical)
        with _reasons():
            stack.outputs = plan.outputs(resolver)
        self._store.save(stack)

    def _make(self, stack: Stack, plan: Plan, resolver: Resolver, logical: str, prefix: str) -> None:
        """Create or change one of our resources, if it is not what it should be."""
        type_name = plan.resources[logical]["Type"]
        before = stack.resources.get(logical)
        try:
            with _reasons():
                properties: Json = resolver.value(plan.resources[logical].get("Properties") or {})
                print_ = digest(properties)
                if before and before.type == type_name and before.digest == print_ and self._exists(before):
                    return
                if before is None:
                    self._must_be_new(plan, logical, properties)
                verb = "UPDATE" if before and before.type == type_name and before.digest else "CREATE"
                self._note(stack, plan, logical, f"{verb}_IN_PROGRESS", properties)
                attributes = self._attributes(stack, plan, logical, properties, before)
                known = plan.known(logical) if type_name in self._types else {}
                for name, value in known.items():
                    if attributes.get(name, value) != value:
                        raise Failure(
                            f"{logical}{'.' * bool(name)}{name} is {attributes[name]}, but {value} was expected"
                        )
        except Failure as failure:
            failed = stack.resources.get(logical) or Resource(type_name, "")
            failed.status, failed.reason, failed.updated = f"{prefix}_FAILED", str(failure), now()
            stack.resources[logical] = failed
            stack.add_event(logical, type_name, failed.physical, failed.status, failed.reason)
            self._store.save(stack)
            raise Failure(f"The following resource(s) failed to {prefix.lower()}: [{logical}].") from failure
        made = stack.resources[logical]
        made.attributes, made.physical, made.digest = attributes, str(attributes[""]), print_
        made.properties = without(properties, *SECRET_PROPERTIES)
        made.status, made.reason, made.updated = f"{verb}_COMPLETE", "", now()
        stack.add_event(logical, type_name, made.physical, made.status)
        self._store.save(stack)

    def _must_be_new(self, plan: Plan, logical: str, properties: Json) -> None:
        """Raise Failure for a name that is taken, before it could be thought ours and be deleted by the rollback."""
        type_name = plan.resources[logical]["Type"]
        own = self._types.get(type_name)
        name = own and plan.known(logical).get("")
        if own and name and not own.adopts and own.exists(self._context, name, properties):
            raise Failure(f"Resource of type '{type_name}' with identifier '{name}' already exists.")

    def _note(self, stack: Stack, plan: Plan, logical: str, status: str, properties: Json) -> None:
        """Remember a resource before it is touched, so that a kill in the middle leaves nothing unknown."""
        type_name = plan.resources[logical]["Type"]
        present = stack.resources.get(logical)
        if present is None or present.type != type_name:
            if present is not None:
                self._set_aside(stack, logical)
            known = plan.known(logical) if type_name in self._types else {}
            present = Resource(type_name, status, physical=str(known.get("", "")))
            present.properties = without(properties, *SECRET_PROPERTIES)
            stack.resources[logical] = present
        present.status, present.updated = status, now()
        stack.add_event(logical, type_name, present.physical, status)
        self._store.save(stack)

    def _attributes(self, stack: Stack, plan: Plan, logical: str, properties: Json, before: Resource | None) -> Json:
        """Do it: create, change, or replace; returns the resource's attributes."""
        type_name = plan.resources[logical]["Type"]
        if type_name not in self._types:
            return {"": plan.recorded(logical)}
        own = self._types[type_name]
        if before is None or before.type != type_name or not before.digest or not self._exists(before):
            if before is not None and before.physical and self._exists(before):
                own.delete(self._context, before.physical, before.properties)  # begun by an operation that was killed
            return own.create(self._context, properties)
        changed = {
            name
            for name in properties.keys() | before.properties.keys()
            if name not in SECRET_PROPERTIES and properties.get(name) != before.properties.get(name)
        }
        if not changed & set(own.replaces):
            return own.update(self._context, before.physical, properties)
        return self._replace(stack, plan, logical, properties, before)

    def _replace(self, stack: Stack, plan: Plan, logical: str, properties: Json, before: Resource) -> Json:
        """Make a new resource and set the old one aside until the update has succeeded."""
        own = self._types[before.type]
        wanted = plan.known(logical).get("")
        if wanted and wanted == before.physical:
            raise Failure(
                "CloudFormation cannot update a stack when a custom-named resource requires replacing. "
                f"Rename {wanted} and update the stack again."
            )
        aside = stack.leftovers.pop(f"{logical} {wanted}", None) if wanted else None
        if aside is not None:  # a rollback takes the old one back
            attributes = own.update(self._context, aside.physical, properties)
        else:
            attributes = own.create(self._context, properties)
        stack.leftovers[f"{logical} {before.physical}"] = Resource(
            before.type, before.status, before.physical, properties=before.properties
        )
        return attributes

    def _set_aside(self, stack: Stack, logical: str) -> None:
        gone = stack.resources.pop(logical)
        if gone.physical:
            stack.leftovers[f"{logical} {gone.physical}"] = gone

    def _clean_up(self, stack: Stack) -> None:
        """Remove what the update replaced or dropped; a failure is noted and does not undo the update, as on AWS."""
        for name, resource in list(stack.leftovers.items()):
            logical = name.split()[0]
            stack.add_event(logical, resource.type, resource.physical, "DELETE_IN_PROGRESS")
            try:
                with _reasons():
                    self._delete(resource)
            except Failure as failure:
                stack.add_event(logical, resource.type, resource.physical, "DELETE_FAILED", str(failure))
            else:
                stack.add_event(logical, resource.type, resource.physical, "DELETE_COMPLETE")
                del stack.leftovers[name]
            self._store.save(stack)

    def _go_back(self, stack: Stack) -> None:
        """Apply what the stack was before the update."""
        if stack.previous is None:
            raise Failure("The state before the update is unknown")
        stack.target, stack.previous = stack.previous, None
        plan = self.plan(stack, stack.target)
        with _reasons():
            self._emulated.start(stack, stack.target, plan.reduced)
        self._apply(stack, plan, "UPDATE")
        self._clean_up(stack)

    def _remove_everything(self, stack: Stack, plan: Plan) -> None:
        order = [name for name in plan.ours if name in stack.resources]
        order += [name for name in stack.resources if name not in order]
        for logical in reversed(order):
            resource = stack.resources[logical]
            if logical in plan.resources and plan.kept(logical):
                stack.add_event(logical, resource.type, resource.physical, "DELETE_SKIPPED")
            else:
                self._remove(stack, logical, resource)
            del stack.resources[logical]
            self._store.save(stack)
        self._clean_up(stack)
        with _reasons():
            self._remove_buckets(plan)
            self._emulated.delete(stack, self._copy(stack))

    def _remove(self, stack: Stack, logical: str, resource: Resource) -> None:
        stack.add_event(logical, resource.type, resource.physical, "DELETE_IN_PROGRESS")
        try:
            with _reasons():
                self._delete(resource)
        except Failure as failure:
            resource.status, resource.reason = "DELETE_FAILED", str(failure)
            stack.add_event(logical, resource.type, resource.physical, "DELETE_FAILED", str(failure))
            self._store.save(stack)
            raise Failure(f"The following resource(s) failed to delete: [{logical}].") from failure
        stack.add_event(logical, resource.type, resource.physical, "DELETE_COMPLETE")

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

    def _delete(self, resource: Resource) -> None:
        if resource.type in self._types and resource.physical:
            self._types[resource.type].delete(self._context, resource.physical, resource.properties)

    def _exists(self, resource: Resource) -> bool:
        if resource.type in RECORDED:
            return True
        return bool(resource.physical) and self._types[resource.type].exists(
            self._context, resource.physical, resource.properties
        )

    def _secret(self, secret_id: str) -> str:
        return str(self._context.clients("secretsmanager").get_secret_value(SecretId=secret_id)["SecretString"])

    def _copy(self, stack: Stack) -> Any:
        def copy(event: Json) -> None:
            stack.add_event(
                event["LogicalResourceId"],
                event["ResourceType"],
                event.get("PhysicalResourceId", ""),
                event["ResourceStatus"],
                event.get("ResourceStatusReason", ""),
            )

        return copy


class _reasons:  # noqa: N801 (reads as a statement)
    """Turns every error that an AWS call or a template can raise into a Failure with its message as reason."""

    def __enter__(self) -> None: ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, Failure) or not isinstance(error, Exception):
            return
        if isinstance(error, ClientError):
            raise Failure(error.response["Error"].get("Message") or str(error)) from error
        if isinstance(error, AwsError):
            raise Failure(error.message) from error
        if isinstance(error, BotoCoreError):
            raise Failure(str(error)) from error
        log.error("A stack operation failed", exc_info=error)
        raise Failure(f"{type(error).__name__}: {error}") from error
