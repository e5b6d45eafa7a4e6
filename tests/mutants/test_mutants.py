"""The mutants can be made. ``make mutants`` takes minutes; this only checks that it would not be useless."""

from __future__ import annotations

import ast

import pytest

from local.settings import ROOT
from tests.mutants.catalogue import MUTANTS, Mutant


@pytest.mark.parametrize("mutant", MUTANTS, ids=[mutant.protection for mutant in MUTANTS])
def test_a_mutant_changes_one_place_of_a_protection_that_a_test_watches(mutant: Mutant) -> None:
    source = (ROOT / mutant.file).read_text()
    assert source.count(mutant.old) == 1
    mutated = ast.parse(source.replace(mutant.old, mutant.new))
    assert ast.dump(mutated) != ast.dump(ast.parse(source))
    file, *names = mutant.test.split("::")
    body = ast.parse((ROOT / file).read_text()).body
    for name in names:
        body = next(
            node.body for node in body if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == name
        )


def test_protections_are_told_apart() -> None:
    assert len({mutant.protection for mutant in MUTANTS}) == len(MUTANTS) >= 10
