"""What waits and is answered in part, and what one look finds and is decided about in parts."""

from __future__ import annotations

import shutil

from tests.boxes.flock_of_boxes import spool
from tests.boxes.test_guard import Guarded, fill, flock, waiting

__all__ = ["flock", "spool"]


def test_one_file_of_a_folder_that_waits_is_brought_back_alone(flock: Guarded) -> None:
    fill(flock, ["folder/a", "folder/b", "stays"])
    flock.stop(2)
    shutil.rmtree(flock.path(2, "folder"))
    flock.restart(2)
    flock.settle()
    assert waiting(flock, 2) == {"folder", "folder/a", "folder/b"}
    flock.box(2).reject(["folder/a"])
    flock.settle()
    assert flock.path(2, "folder/a").exists()
    assert waiting(flock, 2) == {"folder/b"}
    assert flock.box(2).approve() == 1
    flock.settle_equal()
    assert flock.tree(0) == {"folder", "folder/a", "stays"}
