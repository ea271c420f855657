"""On a person's word: what nobody has any more is waited for no longer (`flocksy dismiss`).

A head that was given up (`missing`) stays a head, since some member that is away may still have its
content. Only a person can say that nobody has. That word is an ordinary change: a version in place
of the dead heads and of nothing else, with the content that stands there meanwhile, or a deletion
where there is none. It travels like any other. Whoever turns out to have had the content finds it
in the history of its disk.
"""

from __future__ import annotations

from collections.abc import Container

from flocksy.boxes.box import Box
from flocksy.boxes.past.deciding import check_recorded
from flocksy.errors import FlocksyError
from flocksy.sync.operations import Record
from flocksy.sync.undo import dismissed

MAX_DISMISSED = 1_000
"""Paths dismissed at a time: some tens of milliseconds."""


def dismiss(
    box: Box, under: str, *, away: int, denied: Container[bytes], anyway: bool
) -> list[str]:
    """Dismiss what was given up at and below `under` ("" is the box), at `MAX_DISMISSED` paths at
    most. The paths.

    `away`: how many other members of the flock are not here. `denied`: contents that all who are
    here have said they have not. `anyway`: whoever may have it or show what was there before it.

    Raises `FlocksyError`.
    """
    missing = box.planning.missing
    paths = sorted(missing.below(under))[:MAX_DISMISSED]
    if not paths:
        raise FlocksyError(
            f"{under or box.setup.name}: no content is missing there; flocksy status names all"
        )
    check_recorded(box, paths, "try again in a moment")
    records = [
        dismissed(box.index, path, missing.heads_of(path), box.capabilities) for path in paths
    ]
    if not anyway:
        _check_nobody_has_it(box, paths, away, denied)
        _check_nothing_stands_elsewhere(box, records)
    box.record(records)
    return paths


def _check_nobody_has_it(box: Box, paths: list[str], away: int, denied: Container[bytes]) -> None:
    if away:
        raise FlocksyError(
            f"{paths[0]}: members that are away may have what is missing ({away} of them): wait for"
            " them, or say --anyway if you know that they have not"
        )
    missing = box.planning.missing
    unsure = [path for path in paths if any(root not in denied for root in missing.roots_of(path))]
    if unsure:
        # Somebody has come, or this node was started, since it was given up.
        for path in unsure:
            missing.hope(path)
        raise FlocksyError(
            f"{unsure[0]}: the members that are here are asked once more for what is missing; try"
            " again when flocksy status names the path again"
        )


def _check_nothing_stands_elsewhere(box: Box, records: list[Record]) -> None:
    """Where this disk came later, others may still show what was there before."""
    for record in records:
        state, synced = box.index.flock(record.path), box.index.synced(record.path)
        heads = {} if state is None else state.heads
        stands = synced is not None and synced.disk is not None
        left = [head for name, head in heads.items() if name not in record.superseded]
        had = [heads[name].parents for name in record.superseded if name in heads]
        if not stands and any(had) and not any(head.is_content for head in left):
            raise FlocksyError(
                f"{record.path}: nothing stands there on this disk, but other members may show what"
                " was there before: dismiss it on one that does, or say --anyway to delete it"
            )
