"""From what a box knows of its past to what people are told; with the node running or not."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType

from flocksy.boxes.disk.port import Disk
from flocksy.boxes.past.conflicts import Conflict, conflict_of, conflicts
from flocksy.boxes.past.recall import Recall, Recalled
from flocksy.boxes.past.restoring import Restoring
from flocksy.errors import FlocksyError
from flocksy.index.store import BoxIndex
from flocksy.status import past as told
from flocksy.status.control import Answer
from flocksy.sync.version import Kind, Version, version_id
from flocksy.sync.view import View

FAILED_NAMED = 5
"""Paths that could not be restored and that the text names; `--json` has more."""

MAX_TOLD = 2_000
"""Rows of one answer: with long names some megabytes, which the control socket still carries."""


def inside(boxes: Iterable[tuple[str, str]], given: str) -> tuple[str, str]:
    """The box (by name and folder) that an absolute path lies in, and the path inside it. The path
    need not exist. Raises `FlocksyError`."""
    parent, name = os.path.split(given.rstrip("/") or "/")
    ways = (given.rstrip("/"), os.path.join(os.path.realpath(parent), name))
    best: tuple[int, str, str] | None = None
    for box, folder in boxes:
        for root in {folder, os.path.realpath(folder)}:
            for way in ways:
                if way == root or way.startswith(root.rstrip("/") + "/"):
                    found = (len(root), box, way[len(root) :].strip("/"))
                    best = max(best, found) if best else found
    if best is None:
        raise FlocksyError(f"{given}: lies in no box of this node; flocksy box list shows them")
    return best[1], best[2]


def history(index: BoxIndex, disk: Disk, box: str, path: str, note: str = "") -> Answer:
    """`flocksy history`"""
    if not path:
        raise FlocksyError(f"{box}: is a whole box; name a path in it, or see flocksy deleted")
    versions = [_past(one) for one in Recall(index, disk).versions(path)]
    if not versions:
        raise FlocksyError(f"{path}: nothing is known of it in the box {box}; see flocksy deleted")
    return {
        "history": {
            "box": box,
            "path": path,
            "versions": [told.plain(one) for one in versions[:MAX_TOLD]],
            "note": note,
        },
        "text": told.history_text(box, path, versions, note),
    }


def deleted(
    boxes: Sequence[tuple[str, BoxIndex, Disk, str]],
    limit: int,
    note: str = "",
    waiting: Mapping[str, Sequence[str]] = MappingProxyType({}),
) -> Answer:
    """`flocksy deleted`: of each box (name, index, disk, where below), the last first. `waiting`:
    of a box by its name, the paths whose deletion waits; they come first, and `limit` is not for
    them."""
    found = [
        told.Deleted(name, one.path, _past(one), moved_to)
        for name, index, disk, under in boxes
        for one, moved_to in Recall(index, disk).deleted(under, limit)
    ]
    found.sort(key=lambda one: one.version.until or "", reverse=True)
    asked = [
        one
        for name, index, disk, _ in boxes
        for one in _waiting(name, index, disk, waiting.get(name, ()))
    ]
    found = [*asked, *found[:limit]][:MAX_TOLD]
    return {
        "deleted": [told.plain(one) for one in found],
        "text": told.deleted_text(found, note),
    }


def list_conflicts(boxes: Sequence[tuple[str, BoxIndex, str]], note: str = "") -> Answer:
    """`flocksy conflicts`: of each box (name, index, where below)."""
    found = [
        _conflict(name, one) for name, index, under in boxes for one in conflicts(index, under)
    ][:MAX_TOLD]
    return {
        "conflicts": [told.plain(one) for one in found],
        "text": told.conflicts_text(found, note),
    }


def show_conflict(index: BoxIndex, box: str, path: str, note: str = "") -> Answer:
    """`flocksy conflicts show`"""
    found = _conflict(box, conflict_of(index, path)[0])
    return {"conflict": told.plain(found), "text": told.conflicts_text([found], note)}


def restored(name: str, chosen: Sequence[Recalled], work: Restoring, note: str = "") -> Answer:
    """`flocksy restore`, once it is done. Raises `FlocksyError` where nothing came of it."""
    done, failed = sorted(work.restored), sorted(work.failed.items())
    if failed and not done:
        path, reason = failed[0]
        more = f" (and {len(failed) - 1} more)" if len(failed) > 1 else ""
        raise FlocksyError(f"{path}: is not restored: {reason}{more}")
    if len(done) == 1:
        ids = {one.path: one.short_id for one in chosen}
        lines = [f"{name}: {done[0]}: restored ({ids[done[0]]})"]
    else:
        lines = [f"{name}: {len(done)} paths restored"]
    lines += [f"{path}: is not restored: {reason}" for path, reason in failed[:FAILED_NAMED]]
    if len(failed) > FAILED_NAMED:
        lines.append(f"and {len(failed) - FAILED_NAMED} more (--json)")
    if note:
        lines.append(note)
    return {
        "restore": {
            "box": name,
            "restored": done[:MAX_TOLD],
            "failed": dict(failed[:MAX_TOLD]),
            "note": note,
        },
        "text": "\n".join(lines),
    }


def dismissed(name: str, paths: Sequence[str], left: int) -> Answer:
    """`flocksy dismiss`. `left`: paths at which more is missing."""
    what = paths[0] if len(paths) == 1 else f"{len(paths)} paths"
    lines = [f"{name}: {what}: the missing content is waited for no longer"]
    if left:
        lines.append(f"{left} more paths lack content: say it again")
    told = {"box": name, "paths": list(paths[:MAX_TOLD]), "left": left}
    return {"dismissed": told, "text": "\n".join(lines)}


def nothing_to_restore(name: str, path: str) -> Answer:
    """`flocksy restore` of what stands there already."""
    return {
        "restore": {"box": name, "restored": [], "failed": {}, "note": "is as it was"},
        "text": f"{name}: {path}: is as it was",
    }


def _past(one: Recalled) -> told.PastVersion:
    version = one.version
    return told.PastVersion(
        id=one.short_id,
        kind=_kind(version),
        size=version.size,
        mode=f"{version.mode:04o}",
        modified=_modified(version),
        since=told.moment(one.since_ms),
        until=told.moment(one.until_ms),
        where="here" if one.here else "members",
        kept=one.kept,
    )


def _waiting(box: str, index: BoxIndex, disk: Disk, paths: Sequence[str]) -> Iterator[told.Deleted]:
    """What all others have at the paths."""
    view, recall = View(index), Recall(index, disk)
    for path in sorted(paths)[:MAX_TOLD]:
        version = view.wanted(path).version
        if version is not None:
            here = recall.is_here(version)
            now = Recalled(path, version_id(version), version, 0, None, here)
            yield told.Deleted(box, path, _past(now), None, waiting=True)


def _conflict(box: str, one: Conflict) -> told.Conflict:
    sides = [] if one.shown is None else [_side(one.path, one.shown)]
    sides += [_side(copy.path, copy.version) for copy in one.copies]
    return told.Conflict(box, one.path, tuple(sides))


def _side(path: str, version: Version) -> told.Side:
    return told.Side(path, _kind(version), version.size, _modified(version))


def _kind(version: Version) -> str:
    return version.kind.name.lower()


def _modified(version: Version) -> str | None:
    if version.kind is not Kind.FILE:
        return None
    # Any number may stand in a record; what no calendar has is shown as the nearest day it has.
    return told.moment(max(1, min(version.mtime_ns // 1_000_000, 253_402_300_799_000)))
