"""Run one of the lake's SQL files in Athena."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow.providers.amazon.aws.hooks.athena import AthenaHook
from airflow.providers.amazon.aws.links.athena import AthenaQueryResultsLink
from airflow.providers.amazon.aws.operators.athena import AthenaOperator
from airflow.providers.amazon.aws.triggers.athena import AthenaTrigger
from airflow.sdk.exceptions import AirflowException

from lake_airflow.athena import ATHENA

if TYPE_CHECKING:
    import jinja2
    from airflow.sdk import Context

PATIENCE = 10  # seconds; most queries take less, and a deferral takes a few seconds and a second start of the task


class SqlFileOperator(AthenaOperator):
    """Run a statement of ``include/sql/athena`` in the lake's workgroup; returns the query execution's id.

    ``values`` are the values of the statement's placeholders by name; they may be outputs of other tasks. With
    ``values={"month": choose_month.output}`` the file says ``{{ month }}`` and need not know which task chose it.
    """

    template_fields: Sequence[str] = (*AthenaOperator.template_fields, "values")

    def __init__(self, *, query: str, values: Mapping[str, Any] | None = None, **kwargs: Any) -> None:
        super().__init__(query=query, **{**ATHENA, **kwargs})
        self.values = dict(values or {})

    def render_template_fields(self, context: Context, jinja_env: jinja2.Environment | None = None) -> None:
        """Resolve ``values`` first, then render the statement with them."""
        jinja_env = jinja_env or self.get_template_env()
        self.values = self.render_template(self.values, context, jinja_env)
        context_with_values: Any = {**context, **self.values}
        super().render_template_fields(context_with_values, jinja_env)

    def execute(self, context: Context) -> str:
        """Ask, wait for PATIENCE seconds in the worker, and then deferred; returns the query execution's id.

        Raises:
            AirflowException: the query did not succeed; gives Athena's reason.
        """
        where = {"Database": str(self.database), "Catalog": self.catalog}
        query = self.hook.run_query(self.query, where, {}, None, self.workgroup)
        self.query_execution_id = query  # for on_kill, and for log_scanned
        AthenaQueryResultsLink.persist(
            context=context,
            operator=self,
            region_name=self.hook.conn_region_name,
            aws_partition=self.hook.conn_partition,
            query_execution_id=query,
        )
        state = self.hook.poll_query_status(query, max_polling_attempts=PATIENCE, sleep_time=1)
        if state in AthenaHook.INTERMEDIATE_STATES:
            trigger = AthenaTrigger(query, self.sleep_time, self.max_polling_attempts, self.aws_conn_id)
            self.defer(trigger=trigger, method_name="execute_complete")
        return self.execute_complete(context, {"value": query})

    def execute_complete(self, context: Context, event: dict[str, Any] | None = None) -> str:  # noqa: ARG002
        """Return the query execution's id; raises AirflowException with Athena's reason unless it succeeded.

        ``event`` is that of the provider's AthenaTrigger: ``value`` is the id.
        """
        if event is None:
            raise AirflowException("The trigger gave no event")
        self.query_execution_id = query = str(event["value"])
        state = self.hook.check_query_status(query)
        if state != "SUCCEEDED":
            raise AirflowException(f"Query {query} ended {state}: {self.hook.get_state_change_reason(query)}")
        return query
