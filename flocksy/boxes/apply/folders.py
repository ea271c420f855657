"""The directories of ours in a box."""

from __future__ import annotations

from contextlib import suppress

from flocksy.boxes.apply.history import FOLDER as HISTORY
from flocksy.boxes.apply.placing import INCOMING, SCRATCH
from flocksy.boxes.disk.port import PRIVATE, Disk


def make_folders(disk: Disk) -> None:
    """All of them, where they are missing."""
    for folder in (PRIVATE, INCOMING, SCRATCH, HISTORY):
        with suppress(FileExistsError):
            disk.make_directory(folder, 0o700)


def remake_folders(disk: Disk) -> None:
    """Make those anew that temporaries come to: people make room by removing all of it. Not the one
    of all that is ours; without that it is no box any more."""
    for folder in (INCOMING, SCRATCH):
        with suppress(OSError):  # what needs it fails by itself
            if disk.stat(folder) is None:
                disk.make_directory(folder, 0o700)
