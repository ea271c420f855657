"""From a version made here to what a lane carries: the record, and the content that is new.

Read at the moment it is sent, from the disk, and checked against the version: content that has
changed meanwhile is not offered under an old name. The path is scanned again instead.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from dataclasses import replace

from flocksy.boxes.disk.filesystem import Disk
from flocksy.boxes.intake import Fresh
from flocksy.boxes.last_shown import go_back
from flocksy.boxes.pushes import RECORD_BYTES, SUPERSEDED_BYTES, Push, Pushes
from flocksy.boxes.scan.following import stat_shown
from flocksy.index.store import BoxIndex
from flocksy.sync.content import INLINE_BYTES, has_inline, inline_fits, is_large
from flocksy.sync.messages import Entry
from flocksy.sync.state import MAX_ANCESTRY, PUSH_ANCESTRY, ancestry
from flocksy.sync.trees import PathState
from flocksy.sync.version import Kind, Version, version_id

MAX_OUTGOING_LOADED = 100_000
"""Outgoing paths taken up from the index at start; what is beyond waits for the next start."""

TRIED_AT_ONCE = 100
"""Small contents that were missing when they were to be said, looked for in one go: some ms."""

LISTS_BYTES = 64 << 10
"""Lists of chunks that go with a record that was asked for: those of a file of some GB."""


class Offers:
    """What one box offers: keeps `pushes`, makes entries of messages."""

    def __init__(self, index: BoxIndex, disk: Disk, is_recorded: Callable[[str], bool]) -> None:
        """`is_recorded`: whether what changes at a path becomes a version."""
        self._index = index
        self._disk = disk
        self._is_recorded = is_recorded
        self.pushes = Pushes()
        self.held = Pushes()
        """Made before this node came into its view: not said before `release`."""
        self.stale: set[str] = set()
        """Paths whose disk no longer holds what was to be offered: to be scanned again."""
        self._without: dict[str, tuple[tuple[bytes, int], ...]] = {}
        """Outgoing paths that cannot be said before their content is found, and the chunks that are
        to be offered with it; the one that was looked for last is the last."""

    def resume(self, *, held: bool = False, but: Container[str] = ()) -> None:
        """Queue again what is in no lane yet and does not wait here either, but not `but`. Nor what
        cannot be said: a burst that carries nothing of it would follow each time."""
        for path in list(self._without)[:TRIED_AT_ONCE]:
            chunks = self._without.pop(path)
            self.entries(path)
            if path in self._without:
                self._without[path] = chunks
        waiting = len(self.held) + sum(not push.told for push in self.pushes)
        if self._index.outgoing_count() <= waiting:
            return
        for outgoing in self._index.outgoing(2**62, MAX_OUTGOING_LOADED):
            path = outgoing.path
            if any(path in one for one in (self.held, self.pushes, self._without, but)):
                continue
            fresh: list[tuple[bytes, int]] = []
            carried = {head.root for head in _heads(self._index.lane_state(path))}
            for version in _heads(self._index.flock(path)):
                if not version.metadata_only or version.root not in carried:
                    fresh += self.all_chunks(version)
            push = Push(path, outgoing.batch, 0, chunks=deque(fresh) or ())
            (self.held if held else self.pushes).add(push)

    def hold(self) -> None:
        """What is in no lane yet is not to be said before `release`, and content only with it. A
        burst may be under way that notes as told what it had taken: that is another push."""
        for push in self.pushes:
            if not push.told or self._index.is_outgoing(push.path):
                self.pushes.drop(push.path)
                self.held.add(replace(push, told=False, chunks=deque(push.chunks) or ()))
        self.resume(held=True)

    def release(self) -> None:
        """What was held may be said. The records that a burst took along all the same have been."""
        for push in self.held:
            self.held.drop(push.path)
            push.told = not self._index.is_outgoing(push.path)
            if push.chunks or not push.told:
                self.pushes.add(push)

    def owes(self, path: str) -> bool:
        """Whether something of `path` is still to be said: for that its content has to be found."""
        return path in self.pushes or path in self.held or self._index.is_outgoing(path)

    def unsay(self, path: str) -> None:
        """What no lane has carried of `path` is not to be said any more."""
        self._without.pop(path, None)
        self.pushes.drop(path)
        self.held.drop(path)
        if self._index.is_outgoing(path):
            self._index.forget_unsaid(path)

    def unsay_lost(self, paths: Iterable[str]) -> None:
        """Of what is to stand at these paths again, take back what was not said and is nowhere any
        more: what the others have can be had. What is still somewhere stays to be said."""
        for path in paths:
            unsaid = self._unsaid(path) if self._index.is_outgoing(path) else {}
            lost = {name: one for name, one in unsaid.items() if self._is_lost(path, one)}
            if not lost:
                continue
            with self._index.transaction():
                if len(lost) == len(unsaid):
                    self.unsay(path)
                else:
                    self._index.forget_unsaid(path, lost)
                    self._keep_chunks_of_heads(path)
                go_back(self._index, path, lost)

    def _unsaid(self, path: str) -> dict[bytes, Version]:
        trees = (self._index.flock(path), self._index.lane_state(path))
        heads, known = (one.heads if one is not None else {} for one in trees)
        return {name: version for name, version in heads.items() if name not in known}

    def _is_lost(self, path: str, version: Version) -> bool:
        """Whether a content is nowhere here any more, for certain: a look that fails says nothing,
        nor does one that is refused."""
        contents, root = self._index.contents, version.root
        if version.kind is Kind.SYMLINK:
            return contents.blob(root) is None
        if is_large(version):
            return contents.path_with(root) is None and contents.kept_with(root) is None
        if version.kind is not Kind.FILE or version.size == 0:
            return False
        return all(self._shows_another(place, version) for place in self._places_of(path, root))

    def _shows_another(self, place: str, version: Version) -> bool:
        try:
            found = stat_shown(self._disk, place)
            if found is None or (found.kind, found.size) != (Kind.FILE, version.size):
                return True
            return not inline_fits(version, self._read(place))
        except OSError:
            return False

    def _keep_chunks_of_heads(self, path: str) -> None:
        """Some of the path's versions were taken back: of what waits keep what is of the others."""
        shared = self._names_at(path)
        for queue in (self.held, self.pushes):
            push = queue.get(path)
            if push is not None:
                left = deque(one for one in push.chunks if one[0] in shared)
                queue.add(replace(push, told=False, chunks=left or ()))

    def all_chunks(self, version: Version) -> Fresh:
        """Ids and lengths of all chunks and lists of a version's content."""
        if not is_large(version):
            return ()
        contents = self._index.contents
        return (
            *((name, len(data)) for name, data in contents.blobs(version.root)),
            *((piece.id, piece.length) for piece in contents.pieces(version.root)),
        )

    def _names_at(self, path: str) -> set[bytes]:
        """Ids of all chunks and lists of all heads of a path."""
        heads = _heads(self._index.flock(path))
        return {name for version in heads for name, _ in self.all_chunks(version)}

    def add(
        self,
        path: str,
        version: Version,
        fresh: Fresh,
        batch: bytes,
        batch_size: int,
        *,
        held: bool = False,
    ) -> None:
        """A version was recorded at `path`; `fresh` is what of its content was new here. `held`: it
        has to wait. One that has not takes along what has waited at its path."""
        chunks = deque(fresh if _has_chunks(version) else ())
        earlier = self._still_offered(path)
        if earlier:
            # What was still to be offered there, and is content of the path: this version may only
            # have another mode than the one before, or stand beside it (a copy that is put away).
            shared, named = self._names_at(path), {name for name, _ in chunks}
            chunks += [one for one in earlier if one[0] in shared and one[0] not in named]
        is_inline = version.kind is Kind.FILE and version.size <= INLINE_BYTES
        inline = (version.size if is_inline else 0) + len(version.attributes)
        self._without.pop(path, None)
        self.held.drop(path)
        self.pushes.drop(path)
        (self.held if held else self.pushes).add(
            Push(path, batch, batch_size, inline_bytes=inline, chunks=chunks or ())
        )

    def _still_offered(self, path: str) -> dict[tuple[bytes, int], None]:
        """The chunks of `path` that are still to be offered, whatever they wait for."""
        pushes = (self.held.get(path), self.pushes.get(path))
        chunks = [one for push in pushes if push is not None for one in push.chunks]
        return dict.fromkeys((*chunks, *self._without.get(path, ())))

    def again(self, path: str) -> bool:
        """The record of `path` was said and no lane took it: queue it anew. False where no version
        of the path is unsaid."""
        if self.pushes.get(path) is None and self.entries(path):
            self.pushes.add(Push(path, bytes(8), 0))
        return self.pushes.get(path) is not None

    def entries(self, path: str) -> list[Entry]:
        """What a message says of `path`: every head that no lane has carried yet. What the others
        have for a head is named first among the superseded, however long ago it was here.

        Empty where there is none, or it has to wait, or its content is not on the disk any more.
        """
        state = self._index.flock(path)
        if state is None or self.held.get(path) is not None:
            return []
        carried = self._index.lane_state(path)
        known = carried.heads if carried is not None else {}
        names = [name for name in state.heads if name not in known]
        return self._entries(path, state, names, known, PUSH_ANCESTRY)

    def repeat(self, path: str, first: Iterable[bytes]) -> list[Entry]:
        """What `entries` said, for a burst that repeats it, if a lane has carried it meanwhile.
        `first`: of the superseded."""
        return self._carried(path, first, PUSH_ANCESTRY)

    def answer(self, path: str) -> list[Entry]:
        """All heads of `path` that lanes have carried, for a member that asked; with the first, all
        they superseded. Only part of that was in lanes (`PUSH_ANCESTRY`), but all of it is past:
        unless a head here is in no lane yet. What that one superseded would show that there is
        one.

        Of a past that is longer than an answer, what somebody has told as a head still comes first:
        it may be the oldest of all, and else would stay a head there for ever."""
        return self._carried(path, self._index.outdated(path), MAX_ANCESTRY)

    def is_all_of(self, path: str, entries: Sequence[Entry]) -> bool:
        """Whether what a lane has carried of `path` is no less than `answer` would say. A past that
        only we know all of, it never is: digests do not show that it is missing elsewhere."""
        past = {pair for one in entries for pair in one.superseded}
        if self._index.lane_counts(path, len(past) + 1)[1] > len(past):
            return False  # and was not read, however long it is
        state = self._to_answer(path)
        if state is None or any(one.truncated for one in entries):
            return False
        whole = [one for one in entries if one.inline is not None or not has_inline(one.version)]
        heads = {version_id(one.version) for one in whole}
        return state.heads.keys() <= heads and state.superseded.items() <= past

    def _carried(self, path: str, first: Iterable[bytes], limit: int) -> list[Entry]:
        state = self._to_answer(path)
        if state is None:
            return []
        return self._entries(path, state, list(state.heads), first, limit, carried=True)

    def _to_answer(self, path: str) -> PathState | None:
        """What lanes have carried of `path`, with all of its past where that names nothing else."""
        state, known = self._index.lane_state(path), self._index.flock(path)
        if state is not None and known is not None and known.heads.keys() <= state.heads.keys():
            return known
        return state

    def answer_bytes(self, path: str) -> int:
        """Bytes of payload that `answer` will take, about. Of what no lane has carried nothing is
        counted: how long a burst is to be would show it."""
        heads, superseded = self._index.lane_counts(path, MAX_ANCESTRY)
        return RECORD_BYTES * heads + SUPERSEDED_BYTES * superseded

    def lists(self, path: str) -> Fresh:
        """Ids and lengths of the lists of chunks of all heads of `path`, where they are short: who
        asks for a record would ask for them next."""
        found: list[tuple[bytes, int]] = []
        for version in _heads(self._index.lane_state(path)):
            if _has_chunks(version):
                blobs = self._index.contents.blobs(version.root)
                found += [(name, len(data)) for name, data in blobs]
        return tuple(found) if sum(length for _, length in found) <= LISTS_BYTES else ()

    def _entries(
        self,
        path: str,
        state: PathState,
        names: list[bytes],
        first: Iterable[bytes],
        limit: int,
        *,
        carried: bool = False,
    ) -> list[Entry]:
        entries: list[Entry] = []
        for name in names:
            version = state.heads[name]
            inline = self.inline(path, version) if has_inline(version) else None
            if not carried and inline is None and self._is_missed(path, version):
                self.stale.add(path)
                # The next version of the path takes them along: it may have no other.
                self._without[path] = tuple(self._still_offered(path))
                continue
            if carried and entries:
                # What a path's versions superseded is joined, whichever head it comes with.
                some = [(one, state.superseded.get(one)) for one in version.parents]
                known = tuple((one, root) for one, root in some if root is not None)
                cut = entries[0].truncated
            else:
                known, cut = ancestry(state, version, limit, first)
            entries.append(Entry(path, version, known, cut, inline))
        return entries

    def _is_missed(self, path: str, version: Version) -> bool:
        """Whether content that was to be said has gone since it was seen, and a scan finds out: a
        record that is told without it can never be had."""
        if not (has_inline(version) or self._tells_content(path, version)):
            return False
        if self._is_nowhere(path, version):
            return False
        return has_inline(version) or not self._stands(path, version)

    def _tells_content(self, path: str, version: Version) -> bool:
        """Whether it is the first that others hear of a large content, be it with another mode than
        it was recorded with."""
        if not (is_large(version) and version.metadata_only):
            return is_large(version)
        carried = self._index.lane_state(path)
        return carried is None or not (
            version.root in carried.superseded.values()
            or any(head.root == version.root for head in carried.heads.values())
        )

    def _stands(self, path: str, version: Version) -> bool:
        """Whether a file seen with this large content may have it still, or cannot be looked at.
        One that was written since is told all the same, where a version follows that says so: else
        what keeps changing never is."""
        for place in self._places_of(path, version.root):
            local = self._index.local(place)
            try:
                found = stat_shown(self._disk, place)
            except OSError:
                return True
            if found is None or found.size < version.size:
                continue
            if local is not None and local.root != version.root:
                continue
            if local is not None and place == path and self._is_recorded(path):
                return True
            looked = None if local is None else (local.size, local.mtime_ns)
            if found.size == version.size and looked in (None, (found.size, found.mtime_ns)):
                return True
        return False

    def _is_nowhere(self, path: str, version: Version) -> bool:
        """Whether no file here is thought to hold the content, and no change at the path waits to
        be recorded. Then no scan brings it back (a head that lost, and that nothing shows since its
        content was replaced here before): the record has to go without it, or it never goes."""
        if self._index.contents.path_with(version.root) is not None:
            return False
        local, synced = self._index.local(path), self._index.synced(path)
        shown = synced.disk if synced is not None else None
        return (local and local.root) == (shown and shown.root)

    def inline(self, path: str, version: Version) -> bytes | None:
        """The small content of a version, from wherever it is on this disk."""
        if version.kind is Kind.SYMLINK:
            return self._index.contents.blob(version.root)
        if version.size == 0:
            return b""
        for candidate in self._places_of(path, version.root):
            try:
                data = self._read(candidate)
            except OSError:
                continue  # gone or replaced: the watcher tells
            if inline_fits(version, data):
                return data
        return None

    def _read(self, path: str) -> bytes:
        descriptor = self._disk.open_read(path)
        try:
            return os.read(descriptor, INLINE_BYTES + 1)
        finally:
            os.close(descriptor)

    def _places_of(self, path: str, root: bytes) -> Iterator[str]:
        """Where a content may be; the others are only looked up when it is not at `path`."""
        yield path
        for find in (self._index.contents.path_with, self._index.contents.kept_with):
            place = find(root)
            if place is not None:
                yield place


def _heads(state: PathState | None) -> Iterable[Version]:
    return () if state is None else state.heads.values()


def _has_chunks(version: Version) -> bool:
    return is_large(version) and not version.metadata_only
