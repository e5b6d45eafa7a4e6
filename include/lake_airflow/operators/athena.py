"""Run one of the lake's SQL files in Athena."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow.providers.amazon.aws.operators.athena import AthenaOperator

from lake_airflow.athena import ATHENA

if TYPE_CHECKING:
    import jinja2
    from airflow.sdk import Context


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
