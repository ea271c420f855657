"""Where the disk of a removable box is: at the configured path, or wherever it was plugged in.

Desktops mount a drive under its name, and under another one when that is taken. So every mount is
asked for the marker, in the directory that the box had on its drive. Only the very marker that was
written last counts, on the file system that it was written to: what was planted or copied from our
disk is none of ours, and of two that cannot be told apart neither is.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from flocksy.boxes.disk import marker
from flocksy.boxes.disk.filesystem import RealDisk
from flocksy.boxes.setup import BoxSetup
from flocksy.errors import BoxError, IndexDamaged
from flocksy.index.store import BoxIndex
from flocksy.system import filesystems

PLACE = "place"
"""Name under which the index remembers the directory of the box below its mount point."""

_NOT_ASKED = frozenset(
    {"autofs", "fusectl", "fuse.gvfsd-fuse", "fuse.portal", "fuse.sshfs"}
    | {"fuse.rclone", "fuse.glusterfs", "fuse.s3fs"}
    | filesystems.REMOTE
)
"""Kinds of mounts on which a look may wait for a network, or mounts something."""


def located(setup: BoxSetup) -> BoxSetup:
    """The setup with the path at which the disk of the box is now; as it is, where none is found.

    Raises `BoxError` where two disks carry the marker.
    """
    if not setup.removable or not os.path.exists(setup.index_path):
        return setup
    try:
        index = BoxIndex.open(Path(setup.index_path))
    except IndexDamaged:
        return setup  # whoever opens the box says so
    try:
        if index.remembered("secret") is None:
            return setup
        found: dict[tuple[int, int], str] = {}
        for path in _candidates(setup.path, index.remembered(PLACE)):
            number = _ours(path, setup, index)
            if number is not None:
                found.setdefault(number, path)
    finally:
        index.close()
    if len(found) > 1:
        raise BoxError(
            f"box {setup.name}: {' and '.join(sorted(found.values()))} both carry its marker, so"
            " one is a copy; unplug that one"
        )
    for path in found.values():
        return replace(setup, path=path)
    return setup


def remember_place(setup: BoxSetup, index: BoxIndex) -> None:
    """The box has been opened: remember where on its drive it is."""
    if not setup.removable:
        return
    path = os.path.realpath(setup.path)
    point = max((one for one in _points() if _is_in(path, one)), key=len, default="/")
    place = os.fsencode(os.path.relpath(path, point))
    if index.remembered(PLACE) != place:
        with index.transaction():
            index.remember(PLACE, place)


def _candidates(configured: str, place: bytes | None) -> Iterator[str]:
    yield configured
    below = os.fsdecode(place or b".")
    for one in filesystems.mounts():
        is_drive = one.source.startswith("/") or one.kind.startswith("fuse") or one.kind == "tmpfs"
        if is_drive and one.kind not in _NOT_ASKED and one.point != "/":
            yield os.path.normpath(os.path.join(one.point, below))


def _ours(path: str, setup: BoxSetup, index: BoxIndex) -> tuple[int, int] | None:
    """Device and inode of the box's directory, if its own marker is at `path`."""
    if not os.path.lexists(os.path.join(path, marker.MARKER)):
        return None
    try:
        with RealDisk(path) as disk:
            look = marker.look(disk, setup.name, path, setup.box_id, index, removable=True)
            root = disk.stat("")
    except (BoxError, OSError):
        return None  # not to be read: whoever opens the configured path says why
    if look.state is not marker.MarkerState.OURS or root is None:
        return None
    return root.device, root.inode


def _points() -> list[str]:
    return [one.point for one in filesystems.mounts()]


def _is_in(path: str, directory: str) -> bool:
    return path == directory or path.startswith(directory.rstrip("/") + "/")
