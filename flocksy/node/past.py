"""From what a box knows of its past to what people are told; with the node running or not."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from flocksy.boxes.disk.port import Disk
from flocksy.boxes.guard import Guard
from flocksy.boxes.keeper import Keeper, Kept
from flocksy.boxes.past.conflicts import Conflict, conflict_of, conflicts
from flocksy.boxes.past.recall import Recall, Recalled
from flocksy.boxes.past.restoring import Restoring
from flocksy.errors import FlocksyError
from flocksy.index.store import BoxIndex
from flocksy.status import past as told
from flocksy.status.control import Answer
from flocksy.sync.names import parent_of
from flocksy.sync.version import Kind, Version, version_id
from flocksy.sync.view import View

FAILED_NAMED = 5
"""Paths that could not be restored and that the text names; `--json` has more."""

MAX_TOLD = 2_000
"""Rows of one answer: with long names some megabytes, which the control socket still carries."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where to look: in the box of that name at and below `under`, "" for all of it."""

    name: str
    index: BoxIndex
    disk: Disk
    guard: Guard
    under: str

    def waiting(self) -> list[str]:
        """The paths whose deletion waits for a word."""
        return waiting_below(self.guard, self.under)


def waiting_below(guard: Guard, under: str) -> list[str]:
    """What waits for a word at and below `under`, "" for the box."""
    return [
        path for path in guard.waiting if not under or path == under or path.startswith(under + "/")
    ]


def inside(
    boxes: Sequence[tuple[str, str]],
    given: str,
    known: Callable[[str, str], bool] = lambda _box, _path: False,
) -> tuple[str, str]:
    """The box (by name and folder) that an absolute path lies in, and the path inside it. The path
    need not exist. By way of a link it may lie at two places: then that one is meant which is
    `known`, and else the one as it was typed. Raises `FlocksyError`."""
    parent, name = os.path.split(given.rstrip("/") or "/")
    ways = (given.rstrip("/"), os.path.join(os.path.realpath(parent), name))
    roots = [(box, root) for box, path in boxes for root in (path, os.path.realpath(path))]
    found = [
        (box, way[len(root) :].strip("/"))
        for way in ways
        for box, root in roots
        if way == root or way.startswith(root.rstrip("/") + "/")
    ]
    if not found:
        raise FlocksyError(
            f"{given}: lies in no box of this node (flocksy box list shows them); a path is seen "
            "from the folder you are in: cd into the box, or give it whole"
        )
    if all(place == found[0] for place in found):
        return found[0]
    return next((place for place in found if known(*place)), found[0])


def inside_kept(keeper: Keeper, given: str) -> tuple[Kept, str]:
    """The same for the boxes of a node that runs."""

    def known(name: str, path: str) -> bool:
        box = keeper.get(name).box
        return box is not None and is_known(box.index, path)

    folders = [(kept.setup.name, kept.place) for kept in keeper.boxes]
    name, path = inside(folders, given, known)
    return keeper.get(name), path


def is_known(index: BoxIndex, path: str) -> bool:
    """Whether the box has something at `path`, or at least its folder: what is new or ignored is in
    no tree."""
    if not path or index.flock(path) is not None or index.local(path) is not None:
        return True
    folder = parent_of(path)
    entry = index.local(folder) if folder else None
    return not folder or (entry is not None and entry.kind is Kind.DIRECTORY)


def history(at: Place, note: str = "") -> Answer:
    """`flocksy history`"""
    box, path = at.name, at.under
    if not path:
        raise FlocksyError(f"{box}: is a whole box; name a path in it, or see flocksy deleted")
    versions = [_past(one) for one in Recall(at.index, at.disk).versions(path)]
    if not versions:
        raise FlocksyError(f"{path}: nothing is known of it in the box {box}; see flocksy deleted")
    if path in at.guard.waiting:
        note = _lines(f"its deletion waits for your word: {at.guard.words(box)}", note)
    return {
        "history": {
            "box": box,
            "path": path,
            "versions": [told.plain(one) for one in versions[:MAX_TOLD]],
            "note": note,
        },
        "text": told.history_text(box, path, versions, note),
    }


def deleted(places: Sequence[Place], limit: int, note: str = "") -> Answer:
    """`flocksy deleted`: the last first. What waits for a word comes before, and `limit` is not for
    that."""
    found = [
        told.Deleted(at.name, one.path, _past(one), moved_to)
        for at in places
        for one, moved_to in Recall(at.index, at.disk).deleted(at.under, limit)
    ]
    found.sort(key=lambda one: one.version.until or "", reverse=True)
    asked: list[told.Deleted] = []
    for at in places:
        waiting = at.waiting()
        asked += _waiting(at, waiting)
        if waiting:
            note = _lines(f"{at.name}: {at.guard.words(at.name)}", note)
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


def _waiting(at: Place, paths: Sequence[str]) -> Iterator[told.Deleted]:
    """What all others have at the paths."""
    view, recall = View(at.index), Recall(at.index, at.disk)
    for path in sorted(paths)[:MAX_TOLD]:
        version = view.wanted(path).version
        if version is not None:
            here = recall.is_here(version)
            now = Recalled(path, version_id(version), version, 0, None, here)
            yield told.Deleted(at.name, path, _past(now), None, waiting=True)


def _lines(*some: str) -> str:
    return "\n".join(one for one in some if one)


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
