"""The bill of an environment, with its own parameters or with some of them changed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache

from infrastructure.cfn.template import Json
from infrastructure.cost.bill import Bill
from infrastructure.cost.month import Month
from infrastructure.cost.prices import read_prices
from infrastructure.cost.resources import Environment
from infrastructure.cost.usage import Load
from infrastructure.package import PARAMETERS, render_template


@cache
def _template() -> Json:
    template: Json = json.loads(render_template())
    return template


def estimate(environment: str, load: Load, parameters: Mapping[str, str] | None = None) -> Bill:
    """The bill of an environment of ``infrastructure/parameters`` under a load; ``parameters`` replace some of its own.

    Raises:
        KeyError: a parameter that the template does not have.
        TemplateError: a template that cannot be resolved.
        UnknownResource: a resource whose cost the model does not know.
        PriceError: a price that is not in prices.json.
    """
    given = json.loads((PARAMETERS / f"{environment}.json").read_text()) | dict(parameters or {})
    resources = Environment(_template(), given).resources()
    return Bill(Month.of(resources, load), read_prices())
