"""Incoming content, assembled in temporary files inside the box until it is complete.

Theory of operation. A content is expected by its root and size. First its list has to come, blob by
blob, each checked against the id the one above gave it; then its chunks, in any order and as often
as they like, each checked against its id and written to every place that lacks it. So the whole
is right by construction and nothing has to be read again. What is on this disk already, in other
files or in a temporary left by an earlier run, is copied from there and checked likewise; and so is
what too many contents lack to write it to all of them at once.

Nothing is flushed here: the applier flushes a whole batch at once. A disk that refuses (full,
read-only) is no error of the caller's: it is told in `trouble`, what came stays wanted, and small
contents, which nobody would send again, wait in the index.
"""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress

from flocksy.boxes.content.here import Here
from flocksy.boxes.content.incoming import Incoming, Key
from flocksy.boxes.content.temporaries import LostError, Temporaries
from flocksy.boxes.content.under_way import UnderWay
from flocksy.boxes.disk.port import Disk
from flocksy.errors import HostileInput, LimitExceeded
from flocksy.index.contents import Contents, Piece
from flocksy.sync.content import INLINE_BYTES, ListAssembly, chunk_id, root_of, small_list

MAX_CONTENTS = 200_000
"""Contents under way at a time; about 1 KiB of memory each, and as many files."""
MAX_BROKEN = 10_000
"""Contents remembered as impossible; honest members make none."""
LOOK_UP_BYTES = 16 << 10
"""What asking the index for a chunk counts in the budget of `advance`: about as long as a copy."""
AT_ONCE_BYTES = 4 << 20
"""Of a part that many contents lack so much is written when it comes; the others copy it later."""


class Staging(UnderWay):
    """The incoming contents of one box, one for each (path, root): two paths that are to have the
    same content get a temporary each. (`scratch.Scratch` does the same for our own content.)"""

    prefix = "in-"
    """Of the names of the temporaries."""

    def __init__(self, disk: Disk, contents: Contents) -> None:
        super().__init__(Temporaries(disk, self.prefix))
        self._contents = contents
        self._here = Here(disk, contents)

    # -- what is to come -----------------------------------------------------------------------

    def expect(self, path: str, root: bytes, size: int, owner: str | None = None) -> None:
        """Begin, or go on with, a file content. Chunks that are here already are copied by
        `advance`. `owner`: whose conflict copy it is, where an earlier run may have begun it.
        Raises `LimitExceeded` when too many are under way."""
        key = (path, root)
        if self.is_broken(path, root, size) or self._is_under_way(key, size):
            return
        incoming = self._begin(key, size)
        incoming.assembly = ListAssembly(root, size)
        if owner is not None and (owner, root) not in self._incoming:
            begun, earlier = self._temporaries.begun, self._temporaries.name(owner, root)
            if begun(earlier, size) and not begun(incoming.name, size):
                with suppress(LostError):
                    self._temporaries.rename(earlier, incoming.name)
        self._use_what_is_here(incoming)
        self._follow_lists(incoming)

    def _is_under_way(self, key: Key, size: int) -> bool:
        """Whether there is nothing to begin: also where that size is a lie."""
        incoming = self._incoming.get(key)
        if incoming is None:
            return False
        if incoming.size != size and incoming.assembly is not None:
            self.release(*key)  # one of the two sizes is a lie: the list will tell which
            return False
        if incoming.size != size:
            self._remember_broken(key, size)
        return True

    def inline(self, path: str, root: bytes, data: bytes) -> None:
        """The whole content of a small file, complete at once. Raises `HostileInput` when it is
        not `root`'s, `LimitExceeded` as `expect`, which finds it in the index later."""
        if len(data) > INLINE_BYTES or small_list(data).root != root:
            raise HostileInput("inline content that is not what its root says")
        if self.staged(path, root) is not None:
            return
        self.release(path, root)
        name = chunk_id(data)
        pieces = (Piece(0, len(data), name),) if data else ()
        try:
            incoming = self._begin((path, root), len(data))
        except LimitExceeded:
            self._contents.put(root, pieces, blobs=((name, data),))
            raise
        if not self._temporaries.write_whole(incoming.name, data):
            self._contents.put(root, pieces, blobs=((name, data),))
            self.release(path, root)
            self.expect(path, root, len(data))
            return
        self._contents.put(root, pieces)
        self._finish(incoming)

    def _begin(self, key: Key, size: int) -> Incoming:
        self._make_room()
        incoming = self._incoming[key] = Incoming(key, size, self._temporaries.name(*key), None)
        return incoming

    def _make_room(self) -> None:
        if len(self._incoming) >= MAX_CONTENTS:
            raise LimitExceeded(
                f"{len(self._incoming)} files are on their way into one box: more wait for these"
            )

    def _use_what_is_here(self, incoming: Incoming) -> None:
        """Of an earlier run, or of other contents."""
        incoming.resumed = self._temporaries.begun(incoming.name, incoming.size)
        self._use_known_lists(incoming)

    def _use_known_lists(self, incoming: Incoming) -> None:
        """Give the assembly the lists that are on this disk, for whatever reason."""
        assembly = incoming.assembly
        assert assembly is not None
        again = True
        while again and incoming.key in self._incoming:
            again = False
            for blob_id in assembly.missing():
                blob = self._here.list_blob(blob_id, incoming.key[1], incoming.size)
                if blob is not None:
                    again = self._add_blob(incoming, blob_id, blob) or again

    def _follow_lists(self, incoming: Incoming) -> None:
        """Want the lists that the known ones name, or the chunks when all lists are known."""
        if incoming.assembly is None or incoming.key not in self._incoming:
            return
        missing = incoming.assembly.missing()
        for blob_id in missing:
            if blob_id not in incoming.blobs:
                incoming.blobs[blob_id] = None
                self._wanted.add(blob_id, incoming)
        if not missing:
            self._listed(incoming)

    def _add_blob(self, incoming: Incoming, blob_id: bytes, blob: bytes | memoryview) -> bool:
        """A list blob whose bytes are known to be right. False: it makes no sense, and so the
        content that it is a list of can never come to be."""
        assert incoming.assembly is not None
        try:
            return incoming.assembly.add(blob_id, blob)
        except HostileInput:
            self._give_up(incoming)
            return False

    def _listed(self, incoming: Incoming) -> None:
        """The whole list is known: now the chunks."""
        self._contents.put(incoming.key[1], incoming.listed())
        for name in incoming.missing:
            self._wanted.add(name, incoming)
        self._look_here(incoming)
        if not incoming.missing:
            self._looking[incoming.key] = incoming
            self._make_empty(incoming)

    def _look_here(self, incoming: Incoming) -> None:
        """Have `advance` copy what of its chunks is on this disk."""
        incoming.unlooked = dict.fromkeys(incoming.missing)
        self._looking[incoming.key] = incoming

    def _make_empty(self, incoming: Incoming) -> bool:
        """False: the disk refused it."""
        if not self._put(incoming, b"", ()):
            return False
        self._finish(incoming)
        return True

    # -- what comes ----------------------------------------------------------------------------

    def write(self, name: bytes, data: bytes | memoryview) -> bool:
        """A chunk or a list blob that arrived; checked against its id here. False: nobody
        expected it, or the disk refused it; it is wanted as before. Raises `HostileInput` when it
        is not what its id says."""
        takers = self._wanted.of(name)
        if not takers:
            return False
        is_top = any(one.key[1] == name for one in takers) and root_of(data) == name
        if not is_top and chunk_id(data) != name:
            raise HostileInput("content that is not what its id says")
        left_bytes = AT_ONCE_BYTES
        for incoming in takers:
            if (incoming.key[1] == name) != is_top:
                # Nothing has the name both ways: its list lies, or its root.
                self._give_up(incoming)
                continue
            self._moved.add(incoming.key)
            if left_bytes <= 0:
                incoming.unlooked[name] = None
                self._looking[incoming.key] = incoming
                continue
            left_bytes -= LOOK_UP_BYTES + len(data)
            if name in incoming.blobs:
                self._take_blob(incoming, name, data)
                continue
            offset = incoming.missing[name][0][0]
            if not self._take_chunk(incoming, name, data):
                return False
            self._wanted.lies(name, incoming, offset)
        return True

    def _take_blob(self, incoming: Incoming, name: bytes, data: bytes | memoryview) -> None:
        self._contents.put(incoming.key[1], blobs=((name, bytes(data)),))
        if not self._add_blob(incoming, name, data):
            return
        del incoming.blobs[name]
        incoming.unlooked.pop(name, None)
        incoming.carried = True
        self._wanted.drop(name, incoming)
        self._follow_lists(incoming)

    def _take_chunk(self, incoming: Incoming, name: bytes, data: bytes | memoryview) -> bool:
        """False: the disk refused it."""
        offsets, length = incoming.missing[name]
        if len(data) != length:
            # The id is right, so it is the list that lies.
            self._give_up(incoming)
            return True
        if self._put(incoming, data, offsets):
            self._have(incoming, name)
            return True
        if incoming.size > self.max_file_bytes:
            self.release(*incoming.key)
            self._moved.add(incoming.key)  # who has given it up is to hear that it can be had
            return True
        return False

    def _put(self, incoming: Incoming, data: bytes | memoryview, offsets: Collection[int]) -> bool:
        """False: the disk refused it."""
        try:
            return self._temporaries.write(incoming.name, data, offsets)
        except LostError:
            self._begin_anew(incoming)
            return self._temporaries.write(incoming.name, data, offsets)

    def _begin_anew(self, incoming: Incoming) -> None:
        """Somebody has removed its temporary: what had come has to come again."""
        incoming.begin_anew(self._contents.pieces(incoming.key[1]))
        if incoming.assembly is None:
            for name in incoming.missing:
                self._wanted.add(name, incoming)
            self._look_here(incoming)

    def _give_up(self, incoming: Incoming) -> None:
        self._remember_broken(incoming.key, incoming.size)
        self.release(*incoming.key)
        self._moved.add(incoming.key)  # another size of it may be the right one

    def _remember_broken(self, key: Key, size: int) -> None:
        if len(self._broken) >= MAX_BROKEN:
            self._broken.clear()  # to find out anew costs a list each, and loses nothing
        self._broken.add((*key, size))

    def _have(self, incoming: Incoming, name: bytes) -> None:
        incoming.have(name)
        self._wanted.drop(name, incoming)
        if not incoming.missing:
            self._finish(incoming)

    def _finish(self, incoming: Incoming) -> None:
        incoming.here_bytes = incoming.size
        incoming.complete = True
        incoming.unlooked.clear()
        self._looking.pop(incoming.key, None)
        self._temporaries.done(incoming.name)
        self._fresh.append(incoming.staged())

    # -- what is here already ------------------------------------------------------------------

    def advance(self, budget_bytes: int) -> bool:
        """Copy chunks that are on this disk already. True: there is more to copy."""
        while self._looking and budget_bytes > 0:
            key, incoming = next(iter(self._looking.items()))
            if not incoming.unlooked:
                if next(incoming.lacks(), None) is None and not self._make_empty(incoming):
                    self._looking[key] = self._looking.pop(key)
                    return False
                self._looking.pop(key, None)
                if incoming.assembly is None:
                    incoming.resumed = False
                self._looked(incoming)
                continue
            name = next(iter(incoming.unlooked))
            budget_bytes -= LOOK_UP_BYTES
            if name in incoming.blobs:
                del incoming.unlooked[name]
                blob = self._here.list_blob(name, key[1], incoming.size)
                if blob is not None:
                    self._take_blob(incoming, name, blob)
                continue
            _, length = incoming.missing[name]
            if incoming.resumed and self._still_there(incoming, name):
                budget_bytes -= length
                self._have(incoming, name)
                continue
            data = self._here.chunk(name, length, self._wanted.lying(name))
            if data is None:
                del incoming.unlooked[name]
                continue
            budget_bytes -= 2 * length
            if not self._take_chunk(incoming, name, data):
                self._looking[key] = self._looking.pop(key)
                return False  # the disk refuses: another time, and others first
        return bool(self._looking)

    def _still_there(self, incoming: Incoming, name: bytes) -> bool:
        """Whether the temporary of an earlier run holds the chunk in all its places."""
        offsets, length = incoming.missing[name]
        try:
            return all(
                chunk_id(self._temporaries.read(incoming.name, length, offset)) == name
                for offset in offsets
            )
        except LostError:
            self._begin_anew(incoming)
            return False

    def _looked(self, incoming: Incoming) -> None:
        """All that is here of it has been copied; what it still lacks has to come."""

    def look_again(self, root: bytes) -> None:
        """The content `root` is on this disk now: others that lack its chunks can copy them."""
        if not self._wanted:
            return
        for name in dict.fromkeys(piece.id for piece in self._contents.pieces(root)):
            for incoming in self._wanted.of(name):
                if name in incoming.missing:
                    incoming.unlooked[name] = None
                    self._looking[incoming.key] = incoming

    def pass_on(self, path: str, root: bytes, other: str) -> bool:
        """What was expected for `path` is to stand at `other` instead: all that is here of it goes
        there. False: nothing was expected, or `other` has as much of it already."""
        incoming, there = (self._incoming.get((one, root)) for one in (path, other))
        if incoming is None:
            return False
        if there is not None:
            if not self._is_more(incoming, there):
                return False
            self.release(other, root)
        name = self._temporaries.name(other, root)
        try:
            if not self._temporaries.rename(incoming.name, name):
                return False
        except LostError:
            self._begin_anew(incoming)
        del self._incoming[incoming.key]
        looking = self._looking.pop(incoming.key, None)
        incoming.key, incoming.name = (other, root), name
        self._incoming[incoming.key] = incoming
        if looking is not None:
            self._looking[incoming.key] = incoming
        if incoming.complete:
            self._fresh.append(incoming.staged())
        return True

    # -- when it is over -----------------------------------------------------------------------

    def check(self, path: str, root: bytes) -> None:
        """A complete content could not be used: should its temporary have vanished, or have
        another size, then begin with it anew when it is next expected."""
        name = self.staged(path, root)
        if name and not self._temporaries.holds(name, self._incoming[path, root].size):
            self.release(path, root)

    def release(self, path: str, root: bytes, *, placed: bool = False) -> None:
        """Not needed any more (applied, or superseded): remove what is left of it. `placed`: its
        temporary has been moved to where it belongs."""
        incoming = self._incoming.pop((path, root), None)
        if incoming is None:
            return
        self._moved.discard(incoming.key)
        self._looking.pop(incoming.key, None)
        for name in (*incoming.blobs, *incoming.missing):
            self._wanted.drop(name, incoming)
        drop = self._temporaries.placed if placed else self._temporaries.remove
        drop(incoming.name)

    def sweep(self) -> None:
        """Remove temporaries of earlier runs that nobody expects any more."""
        self._temporaries.sweep({incoming.name for incoming in self._incoming.values()})

    def close(self) -> None:
        """Close files; what is incomplete stays on disk and is found again by `expect`."""
        self._temporaries.close()
