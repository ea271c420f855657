"""Content that is on this disk already: not to be fetched, but to be checked.

What the index says of a file is true as of its last scan. So every chunk is hashed when it is read,
and what is something else by now is simply not here.
"""

from __future__ import annotations

import os

from flocksy.boxes.disk.port import Disk
from flocksy.index.contents import Contents
from flocksy.sync.content import Chunk, build_list, chunk_id, root_of, small_list
from flocksy.system import files


class Here:
    """Looks for chunks and lists in the files and the index of one box."""

    def __init__(self, disk: Disk, contents: Contents) -> None:
        self._disk = disk
        self._contents = contents

    def chunk(self, name: bytes, length: int, lying: tuple[str, int] | None = None) -> bytes | None:
        """The chunk from wherever it should be, checked. `lying`: a file that may have it, and
        where."""
        if lying is not None:
            data = self._read(lying[0], lying[1], length)
            if data is not None and chunk_id(data) == name:
                return data
        blob = self._contents.blob(name)
        if blob is not None and chunk_id(blob) == name:
            return blob
        for place in self._contents.places(name):
            if place.length == length:
                data = self._read(place.path, place.offset, length)
                if data is not None and chunk_id(data) == name:
                    return data
        return None

    def length(self, name: bytes) -> int | None:
        """Bytes of a chunk or list blob that should be here, or None."""
        places = self._contents.places(name, 1)
        if places:
            return places[0].length
        blob = self._contents.blob(name) or self.list_of(name)
        return None if blob is None else len(blob)

    def list_of(self, root: bytes) -> bytes | None:
        """The list of a content of one chunk, which is not kept but follows from that chunk. None
        for any other content."""
        pieces = self._contents.pieces(root)
        if len(pieces) != 1:
            return None
        top = build_list([Chunk(pieces[0].id, pieces[0].length)]).top
        return top if root_of(top) == root else None

    def list_blob(self, name: bytes, root: bytes, size: int) -> bytes | None:
        """A blob of the list of the content `root` of `size` bytes, checked."""
        blob = self._contents.blob(name)
        if blob is None and name == root:
            blob = self._small_list(root, size)
        if blob is None or (root_of(blob) if name == root else chunk_id(blob)) != name:
            return None
        return blob

    def _small_list(self, root: bytes, size: int) -> bytes | None:
        """The list of a content of one chunk at most: such lists are not kept."""
        if not size:
            return small_list(b"").top
        pieces = self._contents.pieces(root)
        whole = self.chunk(pieces[0].id, size) if len(pieces) == 1 else None
        return None if whole is None else small_list(whole).top

    def _read(self, path: str, offset: int, length: int) -> bytes | None:
        try:
            descriptor = self._disk.open_read(path)
        except OSError:
            return None  # gone or replaced since: the watcher tells
        try:
            return files.read_at(descriptor, length, offset)
        except OSError:
            return None
        finally:
            os.close(descriptor)
