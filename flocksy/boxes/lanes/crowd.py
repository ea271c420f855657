"""Among whom this node has told of changes of its own, all of them taken together.

Each change is hidden among the members of the view it was told in. Who can link several of them is
left with the members that were there every time: the *possinymity* of Wolinsky, Syta and Ford,
"Hang With Your Buddies to Resist Intersection Attacks" (2013). It is counted before anything
leaves, kept over restarts, and below a floor nothing of our own is told.

The file holds uids and nothing else: neither when nor what nor how often.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

from flocksy.errors import FlocksyError
from flocksy.system import files, opening

MAX_BYTES = 1 << 16

FIRST_PAUSE_SECONDS = 60.0
"""Before it is tried once more to keep what could not be kept. Each further one is twice as long:
all go through a burst for it, and it carries nothing of ours."""

LONGEST_PAUSE_SECONDS = 300.0
"""And no longer than this: so long what waits still waits when it could be kept again."""


class Crowd:
    """The members that were in every view in which this node told of changes of its own."""

    def __init__(self, uids: Sequence[str], floor: int = 0, path: Path | None = None) -> None:
        """`uids` by lane. `path`: where it is kept; None: nowhere.

        Raises `FlocksyError` for a file that cannot be read: starting anew would be a wrong answer.
        """
        self._uids = tuple(uids)
        self.floor = floor
        self._path = path
        self._members: frozenset[str] | None = _read(path) if path is not None else None
        self._pause_s = 0.0
        self._again_at = 0.0

    @property
    def size(self) -> int | None:
        """How many they are, this node included; None while it has told of nothing."""
        return None if self._members is None else len(self._members)

    def left(self, view: int) -> int:
        """How many there would be after telling of a change in this view, a bitmap of lanes."""
        return len(self._with(view))

    def allows(self, view: int) -> bool:
        """Whether a change of our own may be told in this view."""
        return self.left(view) >= self.floor

    def tries(self, view: int, now: float) -> bool:
        """Whether it is worth asking for an occasion to tell one: not so soon after that could not
        be kept for which it would be told. Else occasion would follow on occasion."""
        return self.allows(view) and (now >= self._again_at or self._with(view) == self._members)

    @property
    def fails(self) -> bool:
        """Whether it could not be kept when it was tried last."""
        return self._pause_s > 0

    def admits(self, view: int, now: float, *, own: bool) -> bool:
        """Whether changes of our own may be told in this view. If there are any (`own`), that is
        counted now and not when they are told: in a burst nobody is to wait for a disk that only
        the source writes to. Where there are none yet and it would have to be counted, what comes
        up later waits for the next occasion. Raises `FlocksyError` as `tells` does, and then not
        again for a while."""
        if not self.tries(view, now):
            return False
        if self._with(view) == self._members:
            self._pause_s = 0.0
            return True
        if own:
            try:
                self.tells(view)
            except FlocksyError:
                pause_s = max(FIRST_PAUSE_SECONDS, 2 * self._pause_s)
                self._pause_s = min(pause_s, LONGEST_PAUSE_SECONDS)
                self._again_at = now + self._pause_s
                raise
            self._pause_s = 0.0
        return own

    def tells(self, view: int) -> None:
        """A change of our own is about to be told. Raises `FlocksyError` where it cannot be kept:
        then it must not be told."""
        members = self._with(view)
        if members == self._members:
            return
        if self._path is not None:
            _write(self._path, members)
        self._members = members

    def _with(self, view: int) -> frozenset[str]:
        seen = frozenset(uid for lane, uid in enumerate(self._uids) if view >> lane & 1)
        return seen if self._members is None else self._members & seen


def _read(path: Path) -> frozenset[str] | None:
    try:
        with path.open("rb") as file:
            return decode(file.read(MAX_BYTES))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise FlocksyError(
            f"{path}: cannot be read ({error}); without it nobody knows among whom this node has "
            "sent so far: restore it, or remove it to begin anew"
        ) from None


def decode(data: bytes) -> frozenset[str]:
    """The uids in `data`. Raises `ValueError`, or `RecursionError` for one too deep."""
    found = json.loads(data)
    if not isinstance(found, list) or not all(isinstance(uid, str) for uid in found):
        raise ValueError("not a list of uids")
    return frozenset(found)


def encode(members: frozenset[str]) -> str:
    """The uids as their file says them."""
    return json.dumps(sorted(members))


def _flush_name(path: Path) -> None:
    if not opening.HAS_DIRECTORY_HANDLES:
        return
    descriptor = os.open(path.parent, os.O_RDONLY | opening.O_DIRECTORY)
    try:
        files.flush_directory(descriptor)
    finally:
        os.close(descriptor)


def _write(path: Path, members: frozenset[str]) -> None:
    fresh = path.with_suffix(".new")
    try:
        with fresh.open("w", encoding="ascii") as file:
            file.write(encode(members))
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
        _flush_name(path)
    except OSError as error:
        raise FlocksyError(f"{path}: cannot be written: {error.strerror}") from error
