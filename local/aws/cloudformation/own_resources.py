"""Makes, changes, replaces and removes our resources one at a time, each step on disk before the next."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from functools import partial

from infrastructure.cfn.intrinsics import Json, Resolver
from local.aws.cloudformation.errors import Failure, errors_as_failures
from local.aws.cloudformation.plan import SECRET_PROPERTIES, Plan, digest
from local.aws.cloudformation.resource_types.base import Context, OwnType, without
from local.aws.cloudformation.resource_types.recorded import RECORDED
from local.aws.cloudformation.stacks import Resource, Stack, Store, now


class OwnResources:
    """Works on ``Stack.resources``; raises Failure for everything that fails."""

    def __init__(self, context: Context, store: Store, types: Mapping[str, OwnType]) -> None:
        self._context, self._store, self._types = context, store, types

    def make(self, stack: Stack, plan: Plan, resolver: Resolver, logical: str, prefix: str) -> None:
        """Create or change one of our resources, if it is not what it should be."""
        type_name = plan.resources[logical]["Type"]
        before = stack.resources.get(logical) or self._taken_back(stack, logical, type_name)
        try:
            with errors_as_failures():
                properties: Json = resolver.value(plan.resources[logical].get("Properties") or {})
                fingerprint = digest(properties)
                if before and before.type == type_name and before.digest == fingerprint and self.exists(before):
                    return
                if before is None:
                    self._must_be_new(plan, logical, properties)
                verb = "UPDATE" if before and before.type == type_name and before.digest else "CREATE"
                self._note(stack, plan, logical, f"{verb}_IN_PROGRESS", properties)
                attributes = self._attributes(stack, plan, logical, properties, before)
                for name, value in plan.known(logical).items():
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
        made.attributes, made.physical, made.digest = attributes, str(attributes[""]), fingerprint
        made.properties = without(properties, *SECRET_PROPERTIES)
        made.status, made.reason, made.updated = f"{verb}_COMPLETE", "", now()
        made.keeps, made.keeps_replaced = plan.kept(logical), plan.kept(logical, "UpdateReplacePolicy")
        stack.add_event(logical, type_name, made.physical, made.status)
        self._store.save(stack)

    @staticmethod
    def _taken_back(stack: Stack, logical: str, type_name: str) -> Resource | None:
        """A resource that left the stack but is not deleted yet, when a rollback or a later update wants it again."""
        for name, resource in stack.leftovers.items():
            if name.split()[0] == logical and resource.type == type_name:
                del stack.leftovers[name]
                stack.resources[logical] = resource
                return resource
        return None

    def _must_be_new(self, plan: Plan, logical: str, properties: Json) -> None:
        """Raise Failure for a name that is taken, so that a rollback does not delete what is not ours."""
        type_name = plan.resources[logical]["Type"]
        own = self._types.get(type_name)
        name = own and plan.known(logical).get("")
        if own and name and not own.adopts and own.exists(self._context, name, properties):
            raise Failure(f"Resource of type '{type_name}' with identifier '{name}' already exists.")

    def _note(self, stack: Stack, plan: Plan, logical: str, status: str, properties: Json) -> None:
        """Record a resource before it is touched, so that it is known even after a kill in the middle."""
        type_name = plan.resources[logical]["Type"]
        present = stack.resources.get(logical)
        if present is None or present.type != type_name:
            if present is not None:
                self.set_aside(stack, logical)
            present = Resource(type_name, status, physical=str(plan.known(logical).get("", "")))
            present.properties = without(properties, *SECRET_PROPERTIES)
            stack.resources[logical] = present
        present.status, present.updated = status, now()
        stack.add_event(logical, type_name, present.physical, status)
        self._store.save(stack)

    def _attributes(self, stack: Stack, plan: Plan, logical: str, properties: Json, before: Resource | None) -> Json:
        """Create, change or replace a resource; returns its attributes."""
        type_name = plan.resources[logical]["Type"]
        if type_name not in self._types:
            return {"": plan.recorded(logical)}
        own = self._types[type_name]
        if before is None or before.type != type_name or not before.digest or not self.exists(before):
            if before is not None and before.physical and self.exists(before):
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
            before.type, before.status, before.physical, properties=before.properties, keeps=before.keeps_replaced
        )
        return attributes

    def set_aside(self, stack: Stack, logical: str) -> None:
        """Take a resource out of the stack; ``clean_up`` deletes it once the update has succeeded."""
        gone = stack.resources.pop(logical)
        if gone.physical:
            stack.leftovers[f"{logical} {gone.physical}"] = gone

    def clean_up(self, stack: Stack) -> None:
        """Delete what the update replaced or dropped; as on AWS, a failure is noted and does not undo the update."""
        for name, resource in list(stack.leftovers.items()):
            with contextlib.suppress(Failure):
                self._delete(stack, name.split()[0], resource)
                del stack.leftovers[name]
            self._store.save(stack)

    def remove(self, stack: Stack, logical: str) -> None:
        """Remove a resource from the stack, and delete it unless its template keeps it."""
        resource = stack.resources[logical]
        try:
            self._delete(stack, logical, resource)
        except Failure as failure:
            resource.status, resource.reason = "DELETE_FAILED", str(failure)
            self._store.save(stack)
            raise Failure(f"The following resource(s) failed to delete: [{logical}].") from failure
        del stack.resources[logical]
        self._store.save(stack)

    def _delete(self, stack: Stack, logical: str, resource: Resource) -> None:
        """Delete a resource unless its template keeps it, with the events that tell so."""
        note = partial(stack.add_event, logical, resource.type, resource.physical)
        if resource.keeps:
            note("DELETE_SKIPPED")
            return
        note("DELETE_IN_PROGRESS")
        try:
            with errors_as_failures():
                if resource.type in self._types and resource.physical:
                    self._types[resource.type].delete(self._context, resource.physical, resource.properties)
        except Failure as failure:
            note("DELETE_FAILED", str(failure))
            raise
        note("DELETE_COMPLETE")

    def exists(self, resource: Resource) -> bool:
        """Whether a resource that we made still exists."""
        if resource.type in RECORDED:
            return True
        return bool(resource.physical) and self._types[resource.type].exists(
            self._context, resource.physical, resource.properties
        )
