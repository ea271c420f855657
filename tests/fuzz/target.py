"""What a target is, and how it takes values from the bytes that the fuzzer gives."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

DECODER = 10_000_000
"""Executions that are wanted of a decoder."""

DEEPER = 1_000_000
"""Of a target that takes 0.1 to 2 ms for one input, since more than a decoder runs on it: an
honest peer afterwards, many rounds, a key agreement. The decoder in it has a target of its own."""


GUIDES = {
    "flocksy.keys.z85": ("words", "keystore", "private_keys", "register"),
    "flocksy.protocol.cell": ("cell",),
    "flocksy.seam.joint": (),
    "flocksy.seam.ring": (),
    "flocksy.sync.stream": ("slots", "stream"),
}
"""Modules that guide the fuzzer in these targets only. In others they stand beside the decoder that
is meant, and to watch them there costs up to half of all."""


def unguided(name: str) -> list[str]:
    """The modules that do not guide the fuzzer in the target of that name."""
    return [module for module, guided in GUIDES.items() if name not in guided]


@dataclass(frozen=True, slots=True)
class Target:
    """One decoder under hostile bytes.

    `check` returns when the decoder accepted the input or refused it by its named error, and
    raises whatever else happened, a property that does not hold included. It keeps nothing from
    one input to the next but what costs time to make and is always the same. `seeds` are inputs
    that get far, for the fuzzer to begin with.
    """

    name: str
    of: str
    """The module whose decoder it is, below `flocksy/`."""
    check: Callable[[bytes], None]
    seeds: Callable[[], Iterable[bytes]]
    max_bytes: int = 4096
    words: tuple[bytes, ...] = ()
    """What the format's texts are made of: the fuzzer puts them in."""
    goal: int = DECODER
    """Executions."""


class Feed:
    """Values taken from the front of an input; zeros once it is used up."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def left(self) -> int:
        """Bytes not taken yet."""
        return max(0, len(self._data) - self._at)

    def take(self, count: int) -> bytes:
        """The next bytes, fewer at the end."""
        taken = self._data[self._at : self._at + count]
        self._at += count
        return taken

    def number(self, count: int = 1) -> int:
        """The next bytes as a number, little endian."""
        return int.from_bytes(self.take(count), "little")

    def rest(self) -> bytes:
        """All that is left."""
        return self.take(self.left)


@contextmanager
def instead(*places: tuple[object, str, object]) -> Iterator[None]:
    """Another value for these names of modules, for one input. (`mock.patch` does it, too, at the
    cost of a small decoder.)"""
    before = [(owner, name, getattr(owner, name)) for owner, name, _ in places]
    for owner, name, value in places:
        setattr(owner, name, value)
    try:
        yield
    finally:
        for owner, name, value in before:
            setattr(owner, name, value)
