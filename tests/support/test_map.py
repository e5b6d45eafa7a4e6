from __future__ import annotations

import re
from pathlib import Path

from tests import support


def test_the_rooms_docstring_names_every_helper() -> None:
    named = re.findall(r"^\| (\w+) \|", support.__doc__ or "", re.MULTILINE)
    assert sorted(named) == sorted(["module", *(path.stem for path in Path(__file__).parent.glob("[!_t]*.py"))])
