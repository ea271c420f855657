"""The pure core under test as one value, so that a broken one can take its place.

A *mutant* is the core with one text of its source replaced by another. It is loaded beside the real
one and shares its data types, so the same flock can be run on it: whoever checks the core is
checked by whether the mutants are noticed.
"""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType

from flocksy.sync import carried, commit, planner, state, view
from flocksy.sync.operations import Acknowledge, Operation, Record
from flocksy.sync.trees import PathState
from flocksy.sync.view import View

PACKAGE = "flocksy.sync"
ORDER = ("state", "view", "carried", "commit", "planner")
"""The modules that decide, each after those it imports."""


@dataclass(frozen=True)
class Engine:
    """All of the core that a node calls."""

    plan: Callable[..., list[Operation]]
    commit_local: Callable[..., list[Record | Acknowledge]]
    adopt: Callable[..., list[Record | Acknowledge]]
    join: Callable[[PathState | None, PathState | None], PathState]
    state_of: Callable[..., PathState]
    ancestry: Callable[..., tuple[tuple[tuple[bytes, bytes], ...], bool]]
    view: type[View]


def _engine(modules: dict[str, ModuleType]) -> Engine:
    return Engine(
        modules["planner"].plan,
        modules["commit"].commit_local,
        modules["commit"].adopt,
        modules["state"].join,
        modules["state"].state_of,
        modules["state"].ancestry,
        modules["view"].View,
    )


REAL = _engine(
    {"state": state, "view": view, "carried": carried, "commit": commit, "planner": planner}
)

_in_use = [REAL]


def current() -> Engine:
    """The core that nodes are made with."""
    return _in_use[-1]


@contextmanager
def using(engine: Engine) -> Iterator[None]:
    """Make all nodes with this core meanwhile."""
    _in_use.append(engine)
    try:
        yield
    finally:
        _in_use.pop()


def mutant(module: str, old: str, new: str) -> Engine:
    """The core in which `old`, a text that `module` has once, reads `new`."""
    loaded: dict[str, ModuleType] = {}
    with _modules_kept():
        for name in ORDER:
            full = f"{PACKAGE}.{name}"
            source = inspect.getsource(importlib.import_module(full))
            if name == module:
                assert source.count(old) == 1, f"{full} has this {source.count(old)} times: {old}"
                source = source.replace(old, new)
            fresh = ModuleType(full)
            fresh.__file__ = f"<mutant of {full}>"
            sys.modules[full] = fresh
            exec(compile(source, fresh.__file__, "exec"), fresh.__dict__)
            loaded[name] = fresh
    return _engine(loaded)


@contextmanager
def _modules_kept() -> Iterator[None]:
    """Afterwards the real modules are what an import finds, as before."""
    kept = {name: sys.modules[f"{PACKAGE}.{name}"] for name in ORDER}
    try:
        yield
    finally:
        for name, module in kept.items():
            sys.modules[f"{PACKAGE}.{name}"] = module
