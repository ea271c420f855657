"""Planner: see the theory of operation (to be filled in below the types)."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from flocksy.sync.capabilities import Capabilities
from flocksy.sync.operations import Acknowledge, Operation, Record
from flocksy.sync.trees import Trees

Held = Callable[[str], str | None]


def commit_local(
    trees: Trees,
    paths: Iterable[str],
    capabilities: Capabilities,
    *,
    held: Held | None = None,
    ignore_symlinks: bool = False,
) -> list[Record | Acknowledge]:
    """What the flock is to learn from this disk: local against synced at `paths`."""
    raise NotImplementedError


def plan(
    trees: Trees,
    paths: Iterable[str],
    capabilities: Capabilities,
    *,
    held: Held | None = None,
    ignore_symlinks: bool = False,
) -> list[Operation]:
    """What brings this disk from synced to the view of flock at `paths` and what hangs on them
    (parents, conflict copies, what lies below a directory that is to be made)."""
    raise NotImplementedError


def adopt(
    trees: Trees,
    paths: Iterable[str],
    capabilities: Capabilities,
    *,
    held: Held | None = None,
    ignore_symlinks: bool = False,
) -> list[Record | Acknowledge]:
    """Look at a disk of unknown past: never deletes. `paths`: all of local and flock."""
    raise NotImplementedError
