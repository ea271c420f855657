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
    edited = filter(is_ignore_file, index.flock_starting(f"{IGNORE_FILE}."))
    if index.heads_of(IGNORE_FILE) > 1:
        state = index.flock(IGNORE_FILE)
        heads = {} if state is None else state.heads
        copies = {path: heads[name] for name, path in View(index).at(IGNORE_FILE).copies.items()}
    else:
        copies = {}
    for path in edited:
        shown = View(index).wanted(path).version
        if shown is not None:
            copies[path] = shown
    return copies
