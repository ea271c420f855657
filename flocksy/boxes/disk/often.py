"""Handles of the directories of ours in which several things are done for each file."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable

from flocksy.boxes.disk.port import PRIVATE

FOLDERS = frozenset((f"{PRIVATE}/incoming", f"{PRIVATE}/scratch"))
KEPT_S = 1.0
"""Then they are opened anew, should somebody have put others in their place."""


class Often:
    """Kept for the thread that made it; any other gets none."""

    def __init__(self, open_directory: Callable[[str], int]) -> None:
        self._open = open_directory
        self._thread = threading.get_ident()
        self._kept: dict[str, tuple[int, float]] = {}
        self._outworn: dict[str, int] = {}
        """The handles before those kept: whoever is about to use one still can."""

    def get(self, directory: str) -> int | None:
        """The handle of a directory of ours, if that is still there. Raises `OSError`."""
        if directory not in FOLDERS or threading.get_ident() != self._thread:
            return None
        now_s = time.monotonic()
        handle, until_s = self._kept.get(directory, (-1, 0.0))
        if now_s < until_s and os.fstat(handle).st_nlink:
            return handle
        fresh = self._open(directory)
        if handle >= 0:
            outworn = self._outworn.pop(directory, -1)
            if outworn >= 0:
                os.close(outworn)
            self._outworn[directory] = handle
        self._kept[directory] = fresh, now_s + KEPT_S
        return fresh

    def close(self) -> None:
        """Let go of all of them."""
        for handle in (*self._outworn.values(), *(handle for handle, _ in self._kept.values())):
            os.close(handle)
        self._outworn.clear()
        self._kept.clear()
