"""Which parts of contents are wanted, and by which contents; chunks and list blobs alike."""

from __future__ import annotations

from collections.abc import Iterable

from flocksy.boxes.content.incoming import Incoming


class Wanted:
    """The parts that some content under way lacks, by id."""

    def __init__(self) -> None:
        self._takers: dict[bytes, dict[Incoming, None]] = {}
        self._lying: dict[bytes, tuple[Incoming, int]] = {}

    def __bool__(self) -> bool:
        return bool(self._takers)

    def __contains__(self, name: object) -> bool:
        return name in self._takers

    def add(self, name: bytes, incoming: Incoming) -> None:
        """It lacks this."""
        self._takers.setdefault(name, {})[incoming] = None

    def drop(self, name: bytes, incoming: Incoming) -> None:
        """It lacks this no more."""
        takers = self._takers.get(name)
        if takers is not None:
            takers.pop(incoming, None)
            if not takers:
                del self._takers[name]
                self._lying.pop(name, None)

    def of(self, name: bytes) -> list[Incoming]:
        """All that lack it, longest first."""
        return list(self._takers.get(name, ()))

    def any_of(self, names: Iterable[bytes]) -> list[Incoming]:
        """All that lack any of these."""
        return list(dict.fromkeys(one for name in names for one in self._takers.get(name, ())))

    def lies(self, name: bytes, incoming: Incoming, offset: int) -> None:
        """One of those that lacked the chunk has it now, there, and others are to copy it."""
        if name in self._takers:
            self._lying[name] = (incoming, offset)

    def lying(self, name: bytes) -> tuple[str, int] | None:
        """The temporary that has got the chunk, as far as is known, and where."""
        found = self._lying.get(name)
        return None if found is None else (found[0].name, found[1])
