"""Changes that a person asks for by name: old content put back, conflicts decided.

All of them are ordinary versions, made from the flock tree and not from the disk: what they name is
on no disk at that path. So they sync like any change, and the planner brings this disk along like
any other; synced stays as it is until the disk has been seen to hold them.

As for every version, the parents are what this disk was seen to hold: a version that has arrived
and is not on it yet was not seen by whoever asked, and must not be superseded. Tombstones are the
exception: who asks for content says no to any deletion of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from flocksy.sync.capabilities import Capabilities
from flocksy.sync.commit import PLAIN_MODE
from flocksy.sync.operations import Record
from flocksy.sync.state import parents_of, replaces, superseded_by
from flocksy.sync.trees import DiskEntry, PathState, SyncedEntry, Trees
from flocksy.sync.version import (
    MAX_PARENTS,
    MODE_MASK,
    NO_ROOT,
    Kind,
    Version,
    next_generation,
)
from flocksy.sync.view import PathView, View

_TOMBSTONE = Version(Kind.TOMBSTONE, 0, 0, 0, NO_ROOT, 1, ())


def restored(trees: Trees, path: str, old: Version, synced: SyncedEntry | None) -> Record:
    """The content and metadata of `old` as a new version of `path`. `synced`: what this disk held
    when somebody asked for it, which may be a while ago."""
    state = trees.flock(path) or PathState()
    shown = synced.disk.root if synced is not None and synced.disk is not None else NO_ROOT
    parents: dict[bytes, tuple[int, bytes]] = {}
    for name in synced.heads if synced is not None else ():
        head = state.heads.get(name)
        if head is None:  # superseded meanwhile by something this disk has not seen
            parents[name] = (synced.generation if synced is not None else 0, shown)
        else:
            parents[name] = (head.generation, shown if head.root == shown else NO_ROOT)
    for name, head in state.heads.items():
        if not head.is_content:
            parents[name] = (head.generation, NO_ROOT)
    return _record(path, old, parents, trees.synced(path))


def kept_at_owner(trees: Trees, owner: str) -> list[Record]:
    """What stands at `owner` stays, and the conflict copies that this disk shows are put away.
    Nothing where it shows none, or something else at `owner` than the flock wants there."""
    state = trees.flock(owner) or PathState()
    view, synced = View(trees).at(owner), trees.synced(owner)
    if view.head is not None and (synced is None or view.head not in synced.heads):
        return []
    losers = _equal_to(state, _shown_here(trees, owner, view), view.head)
    return [_put_away(trees, owner, state, losers)] if losers else []


def kept_copy(trees: Trees, owner: str, head: bytes) -> list[Record]:
    """The conflict copy that shows `head` takes the place of what stands at `owner`; all other
    copies that this disk shows are put away with it. Nothing where it does not show that one."""
    state = trees.flock(owner) or PathState()
    view = View(trees).at(owner)
    copies = _shown_here(trees, owner, view)
    if head not in copies:
        return []
    synced = trees.synced(owner)
    seen = synced.heads if synced is not None else frozenset[bytes]()
    wanted = {*_equal_to(state, copies, view.head), *(seen & state.heads.keys())}
    parents = {name: (state.heads[name].generation, state.heads[name].root) for name in wanted}
    return [_record(owner, state.heads[head], parents, synced)]


def kept_both(trees: Trees, owner: str) -> list[Record]:
    """What stands at `owner` stays; the conflict copies that this disk shows become ordinary files
    of their names. Nothing where `kept_at_owner` does nothing."""
    put_away = kept_at_owner(trees, owner)
    if not put_away:
        return []
    state = trees.flock(owner) or PathState()
    copies = _shown_here(trees, owner, View(trees).at(owner))
    records = [
        _record(place, state.heads[name], _tombstones(trees.flock(place)), trees.synced(place))
        for name, place in copies.items()
    ]
    return [*records, *put_away]


def dismissed(trees: Trees, path: str, dead: Iterable[bytes], capabilities: Capabilities) -> Record:
    """What takes the place of the heads `dead` of `path`, whose content is nowhere, and of nothing
    else. Where the flock has something else at the path, that shows as before; else what stands
    there on this disk is what everybody then has, or nothing where nothing does."""
    state, synced = trees.flock(path) or PathState(), trees.synced(path)
    # Not as replaced: should their content turn up, nobody has said that it is not wanted.
    parents = {name: (state.heads[name].generation, NO_ROOT) for name in dead}
    shown = synced.disk if synced is not None and synced.copy_of is None else None
    lives = any(head.is_content for name, head in state.heads.items() if name not in parents)
    if shown is None or lives or trees.flock_below(path):
        return _record(path, _TOMBSTONE, parents, synced)
    assert synced is not None
    parents |= dict.fromkeys(synced.heads, (synced.generation, NO_ROOT))
    replaced = [head for name, head in state.heads.items() if name in parents]
    return _record(path, _as_shown(shown, capabilities, replaced), parents, synced)


def _as_shown(shown: DiskEntry, capabilities: Capabilities, dead: Sequence[Version]) -> Version:
    """The mode and attributes that this disk does not show are those of a version that is dead: it
    was made from what stands there."""
    is_file = shown.kind is Kind.FILE
    alike = [head for head in dead if head.kind is shown.kind]
    mode = PLAIN_MODE.get(shown.kind, 0)
    if mode and capabilities.mode_bits:
        mode = shown.mode & MODE_MASK
    elif alike:
        mode = alike[0].mode
    attributes = shown.attributes
    if attributes is None:
        attributes = next((head.attributes for head in alike if is_file and head.attributes), b"")
    return Version(
        kind=shown.kind,
        mode=mode,
        mtime_ns=shown.mtime_ns if is_file else 0,
        size=shown.size if is_file else 0,
        root=shown.root,
        generation=1,
        parents=(),
        attributes=attributes,
    )


def _tombstones(state: PathState | None) -> dict[bytes, tuple[int, bytes]]:
    heads = state.heads if state is not None else {}
    return {name: (head.generation, NO_ROOT) for name, head in heads.items() if not head.is_content}


def _shown_here(trees: Trees, owner: str, view: PathView) -> dict[bytes, str]:
    """Of the copies of `owner` those that this disk was seen to hold: head -> path."""
    shown = {}
    for name, place in view.copies.items():
        synced = trees.synced(place)
        if synced is not None and synced.copy_of == (owner, name):
            shown[name] = place
    return shown


def _equal_to(state: PathState, copies: Iterable[bytes], winner: bytes | None) -> list[bytes]:
    """The heads shown as copies, and those that show nowhere because they equal one of them."""
    contents = {(state.heads[name].kind, state.heads[name].root) for name in copies}
    return sorted(
        name
        for name, head in state.heads.items()
        if name != winner and (head.kind, head.root) in contents
    )


def _put_away(trees: Trees, owner: str, state: PathState, losers: Iterable[bytes]) -> Record:
    """A tombstone over these heads and nothing else, as if their copies had been deleted."""
    parents = {name: (state.heads[name].generation, state.heads[name].root) for name in losers}
    return _record(owner, _TOMBSTONE, parents, trees.synced(owner))


def _record(
    path: str,
    content: Version,
    parents: Mapping[bytes, tuple[int, bytes]],
    synced: SyncedEntry | None,
) -> Record:
    """`parents`: id -> (generation, content root that is replaced)."""
    named = parents_of(
        ((generation, name) for name, (generation, _) in parents.items()), MAX_PARENTS
    )
    superseded = superseded_by(content.root, {name: root for name, (_, root) in parents.items()})
    version = Version(
        kind=content.kind,
        mode=content.mode,
        mtime_ns=content.mtime_ns,
        size=content.size,
        root=content.root,
        generation=next_generation(generation for generation, _ in parents.values()),
        parents=named,
        replaces=replaces(named, superseded),
        attributes=content.attributes,
    )
    return Record(path, version, synced, superseded)
