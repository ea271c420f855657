"""A test of the tests: a core that is wrong in one place must be noticed.

Whoever makes a rule of the core adds the mutant that breaks it; whoever finds that one survives
adds the scene or the check that it fails.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator

import pytest

from tests.sync import test_carried, test_planner
from tests.sync.engine import REAL, current, mutant, using
from tests.sync.examples import EXAMPLES
from tests.sync.mutants import MUTANTS, Mutant

SEEDS = 100
"""Examples of each kind; most mutants fail the first few."""


def scenes() -> Iterator[tuple[str, Callable[[], None]]]:
    """The clashes that `test_planner` plays, and `test_carried`, one by one."""
    for name, scene in (*vars(test_planner).items(), *vars(test_carried).items()):
        if not name.startswith("test_"):
            continue
        marks = {mark.name: mark for mark in getattr(scene, "pytestmark", ())}
        if not inspect.signature(scene).parameters:
            yield name, scene
        elif "parametrize" in marks:
            for values in marks["parametrize"].args[1]:
                yield name, lambda scene=scene, values=values: scene(*values)  # type: ignore[misc]


def notices() -> str:
    """Who notices that the core in use is wrong; empty if nobody does."""
    for name, scene in scenes():
        if _fails(scene):
            return name
    for seed in range(SEEDS):
        for example in EXAMPLES:
            if _fails(lambda example=example, seed=seed: example(seed)):  # type: ignore[misc]
                return f"{example.__name__}({seed})"
    return ""


def _fails(check: Callable[[], None]) -> bool:
    try:
        check()
    except Exception:  # noqa: BLE001 - a mutant may fail in any way
        return True
    return False


@pytest.mark.parametrize("wrong", MUTANTS, ids=lambda wrong: wrong.what)
def test_a_mutant_is_noticed(wrong: Mutant) -> None:
    with using(mutant(wrong.module, wrong.old, wrong.new)):
        assert notices(), f"nobody notices: {wrong.what}"


def test_the_real_core_passes_the_scenes_in_the_same_way() -> None:
    """Else a mutant might be noticed for nothing."""
    assert current() is REAL
    assert len([scene() for _, scene in scenes()]) > 50
