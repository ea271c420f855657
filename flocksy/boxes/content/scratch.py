"""What our own lane carried, staged like what others send: so that a source does all the work of a
receiver (design 4.3, rule 5).

A receiver of an edited file gets a list and the chunks that are new, and copies the others from its
own disk. The source has the whole file, so there is nothing it lacks: it waits for what its lane
carries, and then copies the others too. When all is complete, `rehearsal` goes through the last
steps with it, and it is removed. For a change without content, such as a deletion, an empty file
goes through them, under the path behind a slash, as no path of a box begins.
"""

from __future__ import annotations

from collections.abc import Container
from itertools import islice

from flocksy.boxes.content.incoming import Incoming, Staged
from flocksy.boxes.content.staging import MAX_CONTENTS, Staging
from flocksy.boxes.disk.port import Disk
from flocksy.errors import HostileInput
from flocksy.index.contents import Contents
from flocksy.sync.content import chunk_id, root_of, small_list

MAX_SCRATCH_CONTENTS = 50_000
"""The oldest makes room. About 1 KiB of memory each, beside what a source has to remember anyway:
with as many as a receiver may have, the box process of 100,000 files takes more than 200 MiB."""

REHEARSED_AT_ONCE = 5_000
"""As many as a plan has: after each all is flushed."""

CHANGES_AT_ONCE = 500
"""Empty files made in one go: some ten milliseconds."""

_NOTHING = small_list(b"").root
_NO_CONTENT = "/"


def path_of(staged: Staged) -> str:
    """The path in the box that something was staged for here; empty for a chunk by itself."""
    return staged.path.removeprefix(_NO_CONTENT)


class Scratch(Staging):
    """The own contents of one box. A chunk that nobody expected is staged by itself: its
    `Staged.path` is empty."""

    prefix = "own-"

    def __init__(self, disk: Disk, contents: Contents) -> None:
        super().__init__(disk, contents)
        self._changes: dict[str, None] = {}
        self._known: dict[str, None] = {}
        self.sweep()

    def write(self, name: bytes, data: bytes | memoryview, again: bool = False) -> bool:
        """As for what others send. What is not expected was carried because somebody asked for it:
        a content by itself, so that whoever answers does the work of those who asked. Or else a
        burst says it `again` that had come back: others have it, too."""
        if name in self._wanted or again:
            return super().write(name, data)
        if chunk_id(data) != name and root_of(data) != name:
            raise HostileInput("content that is not what its id says")
        key = ("", name)
        if key in self._incoming:
            return True
        incoming = self._begin(key, len(data))
        if not self._temporaries.write_whole(incoming.name, data):
            self.release(*key)
            return False
        self._finish(incoming)
        return True

    def change(self, path: str) -> None:
        """A change of ours has come back that brings no content, but work to all others."""
        if len(self._changes) < MAX_CONTENTS:
            self._changes[path] = None

    def complete(self) -> list[Staged]:
        """As for what others send. Only now is a file made for a change without content: as long
        as a burst runs there is no work with it."""
        for path in list(islice(self._changes, CHANGES_AT_ONCE)):
            del self._changes[path]
            self.inline(f"{_NO_CONTENT}{path}", _NOTHING, b"")
        if self.gathers:
            return []
        done = super().complete()
        self._fresh = done[REHEARSED_AT_ONCE:]
        return done[:REHEARSED_AT_ONCE]

    @property
    def gathers(self) -> bool:
        """Whether more is made for the next `complete` than one call bears."""
        return bool(self._changes) and len(self._fresh) < REHEARSED_AT_ONCE

    def take_known(self) -> list[str]:
        """Paths, said once each, of which nothing came, since the others have their content."""
        known, self._known = self._known, {}
        return list(known)

    def copy_rest(self, unsaid: Container[str]) -> None:
        """Have `advance` copy what no lane carries. `unsaid`: paths of which more is to be said."""
        if not self._wanted:
            return
        for incoming in list(self._incoming.values()):
            if not (
                incoming.complete or incoming.key in self._looking or incoming.key[0] in unsaid
            ):
                self._copy_rest(incoming)

    def _copy_rest(self, incoming: Incoming) -> None:
        path, root = path_of(incoming.staged()), incoming.key[1]
        # Of a copy of another file nothing comes: the others copy it on their disks.
        is_copied = incoming.carried or self._contents.path_with(root, but=path) is not None
        while is_copied and incoming.blobs:
            name = next(iter(incoming.blobs))
            blob = self._here.list_blob(name, root, incoming.size)
            if blob is None or incoming.key not in self._incoming:
                break
            self._take_blob(incoming, name, blob)
        if not is_copied or incoming.blobs:
            # Nothing of it came: the others have it all, and only put it in its place.
            self.release(*incoming.key)
            self._known[path] = None
        elif incoming.missing:
            incoming.searched = True
            super()._look_here(incoming)

    def _use_what_is_here(self, incoming: Incoming) -> None:
        pass

    def _look_here(self, incoming: Incoming) -> None:
        pass  # not before `copy_rest`

    def _looked(self, incoming: Incoming) -> None:
        if incoming.searched and incoming.missing:
            self.release(*incoming.key)  # the file is another one by now

    def _make_room(self) -> None:
        if len(self._incoming) >= MAX_SCRATCH_CONTENTS:
            self.release(*next(iter(self._incoming)))
