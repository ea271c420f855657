"""What a disk was last seen to hold of the flock, once versions that were made here are taken back.

It had shown what those came from. Were they still to be named by synced, nothing there would be
different from what the flock has where they stand again, and what the flock has would be put over
it; and a path that nobody else has would stay for ever.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from flocksy.index.past import MAX_PER_PATH
from flocksy.index.store import BoxIndex
from flocksy.sync.trees import DiskEntry, PathState
from flocksy.sync.version import Version
from flocksy.sync.view import rank


def go_back(index: BoxIndex, path: str, lost: Mapping[bytes, Version]) -> None:
    """The flock forgot these versions of the path just now: so does synced."""
    synced = index.synced(path)
    if synced is None or synced.heads.isdisjoint(lost):
        return
    state = index.flock(path) or PathState()
    records = {one.id: one.version for one in index.past.of(path, MAX_PER_PATH)}
    records |= {**lost, **state.heads}
    heads: set[bytes] = set()
    seen: set[bytes] = set()
    todo = list(synced.heads)
    while todo:
        name = todo.pop()
        if name in seen:
            continue
        seen.add(name)
        if name in state.heads or name in state.superseded:
            heads.add(name)
        elif name in records:
            todo += records[name].parents
    shown = [(name, records[name]) for name in heads if name in records]
    generation = max((version.generation for _, version in shown), default=0)
    entry = replace(synced, heads=frozenset(heads), generation=generation)
    if synced.copy_of is None:  # else it shows what another path has lost
        last = max(shown, key=lambda one: rank(*one), default=None)
        entry = replace(entry, disk=None if last is None else _as_shown(last[1]))
    index.set_synced(path, entry if entry.heads or entry.disk is not None else None)


def _as_shown(version: Version) -> DiskEntry | None:
    if not version.is_content:
        return None
    return DiskEntry(version.kind, version.mode, version.mtime_ns, version.size, version.root)
