"""How knowledge about one path grows: the join, and what a new version supersedes.

Theory of operation
-------------------
The state of a path is (heads H, superseded S). The join of two states is

    ((H | H') - (S | S'), S | S')

Union and difference over sets that only grow are commutative, associative and idempotent, so it
does not matter in which order, how often, or through whom a state arrives: who has seen the same
versions has the same state. Nothing else merges anything. In particular no function here picks a
winner: picking one of two and later one of three is not associative. What people see is computed
from the heads each time (`flocksy.sync.view`).

Every honest version is superseded by later ones only, so something is always left. Versions that
supersede each other, or themselves, are lies. A path that they left without heads would show
nothing, have no item to compare, and stay different for ever from that of whoever did not hear of
them. So where a join would leave none, the *last* of both sides' heads stays: the one of the
largest generation, of those the one of the largest id. What a liar says then still depends on the
order in which it is heard; but two nodes that tell each other their states have the same after it,
and all have once everybody has told everybody twice.

Beside every superseded id S keeps the content root that was *replaced*: `NO_ROOT` where the
successor had the same content (chmod, touch, a conflict copy put away). That way an edited and then
chmod'ed file still counts as an edit when it meets another edit, while a chmod of old content does
not make a conflict copy of it. Two values for one id are joined by taking the larger one; honest
nodes only ever disagree between a root and `NO_ROOT`. Which it is also stands in the record of the
successor: were two of them one version, only who made it would ever know what the other meant.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from flocksy.sync.trees import PathState
from flocksy.sync.version import NO_ROOT, Version, version_id

PUSH_ANCESTRY = 8  # superseded ids that go with a pushed version: 384 bytes, fits a heartbeat
MAX_ANCESTRY = 8192  # superseded ids in one entry of a message: 384 KiB

EMPTY = PathState()


def join(ours: PathState | None, theirs: PathState | None) -> PathState:
    """What is known when both are known."""
    if ours is None or theirs is None:
        return ours or theirs or EMPTY
    superseded = dict(ours.superseded)
    for name, root in theirs.superseded.items():
        superseded[name] = max(superseded.get(name, NO_ROOT), root)
    heads = {
        name: version
        for name, version in (*ours.heads.items(), *theirs.heads.items())
        if name not in superseded
    }
    heads = heads or last_of({**ours.heads, **theirs.heads})
    return PathState(heads, superseded)


def last_of(versions: Mapping[bytes, Version]) -> dict[bytes, Version]:
    """What stays of heads that are all superseded: one, or none of none."""
    last = max(versions, key=lambda name: (versions[name].generation, name), default=None)
    return {} if last is None else {last: versions[last]}


def state_of(version: Version, superseded: Mapping[bytes, bytes]) -> PathState:
    """One version and what came with it, ready to be joined. Its parents count as superseded
    whether they are named again or not."""
    known = dict(superseded)
    for parent in version.parents:
        known.setdefault(parent, NO_ROOT)
    return PathState({version_id(version): version}, known)


def superseded_by(root: bytes, parents: Mapping[bytes, bytes]) -> dict[bytes, bytes]:
    """What a version with content `root` makes of its parents (id -> content root)."""
    return {name: NO_ROOT if old == root else old for name, old in parents.items()}


def replaces(parents: Iterable[bytes], superseded: Mapping[bytes, bytes]) -> int:
    """Which of its parents a version with these `superseded` replaces, as its record says it."""
    return sum(bool(superseded.get(name)) << at for at, name in enumerate(parents))


def replaced_roots(state: PathState) -> frozenset[bytes]:
    """Contents that somebody knowingly replaced at this path."""
    return frozenset(root for root in state.superseded.values() if root)


def ancestry(
    state: PathState, head: Version, limit: int = PUSH_ANCESTRY, first: Iterable[bytes] = ()
) -> tuple[tuple[tuple[bytes, bytes], ...], bool]:
    """(superseded id, replaced root) to send along with `head`, and whether some were left out.

    Those of `first` come first, and then the parents; then the youngest, if the mapping keeps the
    order of insertion. `limit` does not count `first`, up to `MAX_ANCESTRY` in all.
    """
    order = dict.fromkeys(name for name in first if name in state.superseded)
    limit = min(limit + len(order), MAX_ANCESTRY)
    order.update(dict.fromkeys(name for name in head.parents if name in state.superseded))
    for name in reversed(list(state.superseded)):
        if len(order) >= limit:
            break
        order.setdefault(name)
    chosen = tuple((name, state.superseded[name]) for name in order)[:limit]
    return chosen, len(chosen) < len(state.superseded)


def parents_of(candidates: Iterable[tuple[int, bytes]], limit: int) -> tuple[bytes, ...]:
    """The youngest `limit` of (generation, id), sorted by id, as a record names them."""
    youngest = sorted(candidates, reverse=True)[:limit]
    return tuple(sorted(name for _, name in youngest))
