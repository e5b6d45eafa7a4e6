"""What the resource types share."""

from __future__ import annotations

import pytest

from local.aws.cloudformation.errors import Failure
from local.aws.cloudformation.resource_types.base import shaped


def test_template_texts_become_an_apis_types() -> None:
    made = shaped("dms", "CreateReplicationInstance", {"AllocatedStorage": "20", "MultiAZ": "false"})
    assert made == {"AllocatedStorage": 20, "MultiAZ": False}
    with pytest.raises(Failure, match="CreateReplicationInstance.Colour"):
        shaped("dms", "CreateReplicationInstance", {"Colour": "red"})
