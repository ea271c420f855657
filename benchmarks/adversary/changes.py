"""What people do to the box of a node, at random, and how to see that all nodes have it."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from flocksy.testing.rig import RigError, RigNode

LARGE_BYTES = (8 << 10, 8 << 20)
"""Least and most of a file that needs a burst; as many from 8 to 16 KiB as from 4 to 8 MiB."""
LARGE_KINDS = ("new",) * 4 + ("edit",) * 4 + ("overwrite",)
SMALL_BYTES = (64, 2 << 10)
"""Of what rides in heartbeats."""
SMALL_KINDS = ("new", "edit", "rename", "delete")
PATIENCE_SECONDS = 60.0
POLL_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Change:
    """One change that is ready: all that takes time was done, `make` it."""

    kind: str
    size: int
    make: Callable[[Path], object]
    """In the box of the source."""
    is_in: Callable[[Path], bool]
    """Whether a box has it."""


@dataclass(slots=True)
class Files:
    """What the boxes hold."""

    place: Path
    """Where contents are made; on the file system of the boxes, and watched by nobody."""
    draw: random.Random
    sizes: tuple[int, int] = LARGE_BYTES
    kinds: tuple[str, ...] = LARGE_KINDS
    names: list[str] = field(default_factory=list)
    made: int = 0

    def prepare(self) -> Change:
        """A change that was drawn. It counts as made: what is drawn next builds on it."""
        draw = self.draw
        kind = draw.choice(self.kinds) if self.names else "new"
        self.made += 1
        least, most = self.sizes
        size = int(least * (most / least) ** draw.random())
        hidden = self.place / f"making {self.made}"
        if kind in ("new", "edit", "overwrite"):
            hidden.write_bytes(draw.randbytes(size))
        if kind == "new":
            name = f"file {self.made}"
            self.names.append(name)
        else:
            name = draw.choice(self.names)
        match kind:
            case "rename":
                self.names.remove(name)
                new = f"moved {self.made}"
                self.names.append(new)
                return Change(
                    kind,
                    0,
                    lambda box: (box / name).rename(box / new),
                    lambda box: (box / new).exists() and not (box / name).exists(),
                )
            case "delete":
                self.names.remove(name)
                return Change(
                    kind,
                    0,
                    lambda box: (box / name).unlink(),
                    lambda box: not (box / name).exists(),
                )
            case "overwrite":
                content = hidden.read_bytes()
                return Change(kind, size, _overwriting(name, content), _has(name, content))
        stamp_ns = hidden.stat().st_mtime_ns
        return Change(
            kind,
            size,
            lambda box: hidden.rename(box / name),
            lambda box: _stat(box / name) == (size, stamp_ns),
        )


def sham(files: Files) -> None:
    """The work of `prepare` without a change: for a time in which nobody does anything."""
    least, most = files.sizes
    size = int(least * (most / least) ** files.draw.random())
    hidden = files.place / "sham"
    hidden.write_bytes(files.draw.randbytes(size))


def await_change(nodes: list[RigNode], change: Change, told: Callable[[], str]) -> None:
    """Until all these boxes have it. Raises `RigError`, with what was `told` (the logs)."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not arrived(nodes, change):
        if time.monotonic() > deadline:
            raise RigError(f"{change.kind} of {change.size} bytes did not arrive\n{told()}")
        time.sleep(POLL_SECONDS)


def arrived(nodes: list[RigNode], change: Change) -> bool:
    """Whether all these boxes have it. All are looked into each time, whoever made it."""
    found = [change.is_in(node.box) for node in nodes]
    return all(found)


def _overwriting(name: str, content: bytes) -> Callable[[Path], object]:
    def make(box: Path) -> None:
        with (box / name).open("r+b") as file:
            file.write(content)

    return make


def _has(name: str, content: bytes) -> Callable[[Path], bool]:
    def has(box: Path) -> bool:
        try:
            with (box / name).open("rb") as file:
                return file.read(len(content)) == content
        except OSError:
            return False

    return has


def _stat(path: Path) -> tuple[int, int]:
    try:
        found = path.stat()
    except OSError:
        return -1, 0
    return found.st_size, found.st_mtime_ns
