"""Which conflict copies of `.flockignore` a box has, or is to have.

One that somebody has edited is a file of its own from then on, and the flock sees no conflict any
more. It still is one of them: nobody has decided yet which lines are meant.
"""

from __future__ import annotations

from flocksy.index.store import BoxIndex
from flocksy.sync.ignore import IGNORE_FILE, is_ignore_file
from flocksy.sync.version import Version
from flocksy.sync.view import View


def ignore_copies(index: BoxIndex) -> dict[str, Version]:
    """By path, what the flock wants to stand there."""
    edited = list(filter(is_ignore_file, index.flock_starting(f"{IGNORE_FILE}.")))
    copies: dict[str, Version] = {}
    view = View(index)
    for owner in (IGNORE_FILE, *edited):
        state = view.state(owner) if index.heads_of(owner) > 1 else None
        if state is not None:
            copies |= {path: state.heads[name] for name, path in view.at(owner).copies.items()}
    for path in edited:
        shown = view.wanted(path).version
        if shown is not None:
            copies[path] = shown
    return copies
