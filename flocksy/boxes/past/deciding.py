"""On a person's word: which side of a conflict stays (`flocksy conflicts resolve`).

What is kept is what that person has seen at the path. So nothing is decided while the disk shows
something that has no version yet: a copy in which two texts were just merged by hand would give way
to what it was before. And only what this disk shows as a copy is put away: what has arrived and is
not on it yet nobody here has seen.
"""

from __future__ import annotations

from collections.abc import Collection

from flocksy.boxes.box import Box
from flocksy.boxes.missing import obtainable
from flocksy.boxes.past.conflicts import conflict_of
from flocksy.errors import FlocksyError, HostileInput
from flocksy.sync.names import check_path
from flocksy.sync.undo import kept_at_owner, kept_both, kept_copy


def decide(box: Box, path: str, *, both: bool, remedy: str) -> None:
    """What stands at `path`, the owner of a conflict or one of its copies, is kept and the rest put
    away; or, for `both`, every copy becomes an ordinary file.

    `remedy`: what to do where the disk and the flock are not one yet. Raises `FlocksyError`.
    """
    found, copy = conflict_of(box.index, path)
    reason = box.held.why_not_put(found.path)
    if reason is not None:
        raise FlocksyError(f"{path}: is not decided on this node: {reason or 'it is not held'}")
    copies = {one.path: box.held.why_not_put(one.path) for one in found.copies}
    away = {copy_path: why for copy_path, why in copies.items() if why is not None}
    check_recorded(box, (found.path, *(copies.keys() - away.keys())), remedy)
    trees = obtainable(box.index)
    if both:
        records = kept_both(trees, found.path)
    elif copy is None:
        records = kept_at_owner(trees, found.path)
    else:
        records = kept_copy(trees, found.path, copy.head)
    for copy_path, why in away.items() if not records else ():
        raise FlocksyError(
            f"{path}: {copy_path} is not looked at here ({why or 'it is not held'}); decide on a"
            " node that shows it"
        )
    if not records:
        raise FlocksyError(f"{path}: what is to be decided is not on this disk yet; {remedy}")
    box.record(records)


def check_recorded(box: Box, paths: Collection[str], remedy: str) -> None:
    """Raise `FlocksyError` where what stands at one of the paths has no version yet. The disk is
    looked at as well: what was saved a moment ago no scan has seen."""
    paths = [path for path in paths if _gets_versions(box, path)]
    as_known = box.standing.as_known({path: box.index.local(path) for path in paths})
    for path in paths:
        if path in box.intake.changed or path not in as_known:
            problem = box.intake.problems.get(path)
            why = f" ({problem})" if problem else ""
            raise FlocksyError(f"{path}: was changed, and nobody has been told yet{why}; {remedy}")


def _gets_versions(box: Box, path: str) -> bool:
    """Not the box itself and what is ours in it, nor what is not held or cannot stand here."""
    try:
        check_path(path)
    except HostileInput:
        return False
    return box.held.why_not(path) is None and box.capabilities.names.why_not(path) is None
