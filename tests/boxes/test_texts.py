"""Texts of links that did not come with their record: asked for of one member after the other."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

from flocksy.sync.content import symlink_root
from tests.boxes.flock_of_boxes import Flock, spool

__all__ = ["spool"]

IGNORING = (0, 1, 2)
MAKER = 3
NEWCOMER = 4
LINKS = {f"link {number}": f"there {number}" for number in range(20)}


def test_whoever_has_no_text_is_not_the_last_who_is_asked(tmp_path: Path, spool: Path) -> None:
    with Flock(tmp_path, spool, 5) as flock:
        flock.settle_equal()
        for lane in IGNORING:
            setup = dataclasses.replace(flock.box(lane).setup, ignore_symlinks=True)
            flock.nodes[lane].keeper.remove("box")
            flock.nodes[lane].keeper.add(setup, flock.now)
        flock.settle()
        flock.stop(NEWCOMER)
        for name, text in LINKS.items():
            flock.path(MAKER, name).symlink_to(text)
        flock.settle()
        flock.settle()
        for lane in IGNORING:
            # They know of the links, and need no texts. So they have tidied them away.
            contents = flock.box(lane).index.contents
            assert not any(contents.blob(symlink_root(text.encode())) for text in LINKS.values())
        flock.restart(NEWCOMER)
        flock.settle()
        assert {name: os.readlink(flock.path(NEWCOMER, name)) for name in LINKS} == LINKS
