"""A damaged index makes way for a new one, which begins with what is known without it."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path

from flocksy.index.database import damage_note
from flocksy.index.store import BoxIndex

_FILES = ("", "-wal", "-shm")


def renew(path: Path, stamp: str, begins_with: Mapping[str, bytes]) -> Path:
    """Put a new index in the place of the damaged one at `path`; that goes to
    `<name>.damaged-<stamp>`, which is returned. `begins_with`: what the new one remembers.

    Cut off at any step, the next opening meets the damage again: the note of it goes last, when the
    new index is whole. Raises `FlocksyError` and `OSError`.
    """
    damage_note(path).touch(mode=0o600)
    fresh = path.with_name(f"{path.name}.new")
    for suffix in _FILES:
        fresh.with_name(fresh.name + suffix).unlink(missing_ok=True)
    damage_note(fresh).unlink(missing_ok=True)
    index = BoxIndex.open(fresh)
    try:
        with index.transaction(durable=True):
            for name, value in begins_with.items():
                index.remember(name, value)
    finally:
        index.close()
    aside = path.with_name(f"{path.name}.damaged-{stamp}")
    _move(path, aside)
    _move(fresh, path)
    damage_note(path).unlink()
    return aside


def _move(source: Path, target: Path) -> None:
    for suffix in _FILES:
        with contextlib.suppress(FileNotFoundError):
            source.with_name(source.name + suffix).replace(target.with_name(target.name + suffix))
