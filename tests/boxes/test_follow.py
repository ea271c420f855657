"""A node that follows the links made on its disk, in a flock of others that copy links."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from flocksy.boxes.scan.following import SEND_ONLY
from flocksy.boxes.setup import BoxSetup
from flocksy.testing.trees import snapshot
from tests.boxes.flock_of_boxes import Flock, spool

__all__ = ["spool"]

FOLLOWS = 0
"""The node that follows links; the other copies them."""


class Bench(Flock):
    """Two nodes, and a place outside of both boxes."""

    def __init__(self, root: Path, spool: Path) -> None:
        self.outside = root / "outside"
        self.outside.mkdir()
        self.follows = True
        super().__init__(root, spool, size=2)

    def setup(self, lane: int) -> BoxSetup:
        return replace(super().setup(lane), follow_symlinks=self.follows and lane == FOLLOWS)

    def link(self, name: str, target: Path | str) -> Path:
        path = self.path(FOLLOWS, name)
        path.symlink_to(target)
        return path

    def fill(self, name: str = "docs") -> Path:
        """A directory outside with something in it."""
        folder = self.outside / name
        (folder / "deep").mkdir(parents=True)
        (folder / "a.txt").write_text("a")
        (folder / "deep" / "b.bin").write_bytes(os.urandom(100_000))
        return folder

    def problem(self, name: str) -> str:
        return self.box(FOLLOWS).problems[name]

    def there(self, name: str) -> str:
        """A file of the other node."""
        return self.path(1, name).read_text()


@pytest.fixture
def flock(tmp_path: Path, spool: Path) -> Iterator[Bench]:
    with Bench(tmp_path, spool) as made:
        yield made


def test_links_show_what_they_lead_to(flock: Bench) -> None:
    folder = flock.fill()
    flock.link("docs", folder)
    (flock.outside / "one").write_text("one")
    flock.link("file", flock.outside / "one")
    large = os.urandom(100_000)
    (flock.outside / "large").write_bytes(large)
    flock.link("large", flock.outside / "large")
    flock.settle()
    assert flock.path(1, "large").read_bytes() == large
    assert not flock.path(1, "docs").is_symlink()
    assert not flock.path(1, "file").is_symlink()
    assert flock.there("file") == "one"
    assert snapshot(flock.path(1, "docs")) == snapshot(folder)
    assert flock.path(FOLLOWS, "docs").is_symlink()
    (folder / "a.txt").write_text("a, edited")
    (folder / "new").write_text("new")
    (folder / "deep" / "b.bin").unlink()
    (flock.outside / "one").write_text("one, edited")
    flock.settle()
    assert flock.there("docs/a.txt") == "a, edited"
    assert flock.there("docs/new") == "new"
    assert not flock.path(1, "docs/deep/b.bin").exists()
    assert flock.there("file") == "one, edited"
    assert not flock.box(FOLLOWS).problems


def test_what_others_change_below_a_followed_link_is_not_applied(flock: Bench) -> None:
    folder = flock.fill()
    flock.link("docs", folder)
    flock.settle()
    before = snapshot(folder)
    flock.write(1, "docs/a.txt", "changed elsewhere")
    flock.write(1, "docs/deep/new", "made elsewhere")
    flock.path(1, "docs/deep/b.bin").unlink()
    flock.settle()
    assert snapshot(folder) == before
    for name in ("docs/a.txt", "docs/deep/new", "docs/deep/b.bin"):
        assert flock.problem(name) == SEND_ONLY
    # A change here takes the place of theirs, and makes no conflict.
    (folder / "a.txt").write_text("changed here")
    flock.settle()
    assert flock.there("docs/a.txt") == "changed here"
    assert not [name for name in flock.tree(1) if "conflict" in name]
    assert "docs/a.txt" not in flock.box(FOLLOWS).problems


def test_a_whole_tree_deleted_elsewhere_stays_at_the_target(flock: Bench) -> None:
    folder = flock.fill()
    flock.link("docs", folder)
    flock.settle()
    before = snapshot(folder)
    shutil.rmtree(flock.path(1, "docs"))
    flock.write(1, "docs", "a file instead")
    flock.settle()
    assert snapshot(folder) == before
    assert flock.path(FOLLOWS, "docs").is_symlink()
    assert flock.problem("docs") == SEND_ONLY


def test_deleting_the_link_deletes_what_it_showed(flock: Bench) -> None:
    folder = flock.fill()
    link = flock.link("docs", folder)
    flock.settle()
    link.unlink()
    flock.settle_equal()
    assert flock.tree(1) == set()
    assert (folder / "a.txt").read_text() == "a"


def test_a_link_replaced_by_its_content_is_an_ordinary_directory(flock: Bench) -> None:
    folder = flock.fill()
    link = flock.link("docs", folder)
    flock.settle()
    link.unlink()
    shutil.copytree(folder, link)
    flock.settle_equal()
    flock.write(1, "docs/a.txt", "changed elsewhere")
    flock.settle_equal()
    assert (link / "a.txt").read_text() == "changed elsewhere"
    assert (folder / "a.txt").read_text() == "a"


def test_a_directory_replaced_by_a_link_to_where_it_went(flock: Bench) -> None:
    flock.write(FOLLOWS, "docs/deep/b", "b")
    flock.settle_equal()
    flock.path(FOLLOWS, "docs").rename(flock.outside / "docs")
    flock.link("docs", flock.outside / "docs")
    flock.settle()
    flock.write(1, "docs/deep/b", "changed elsewhere")
    flock.settle()
    assert (flock.outside / "docs/deep/b").read_text() == "b"
    assert flock.problem("docs/deep/b") == SEND_ONLY


def test_a_link_to_elsewhere_shows_what_is_there(flock: Bench) -> None:
    link = flock.link("docs", flock.fill())
    flock.settle()
    other = flock.outside / "other"
    (other / "deep").mkdir(parents=True)
    (other / "deep" / "c").write_text("c")
    link.unlink()
    link.symlink_to(other)
    flock.settle()
    assert snapshot(flock.path(1, "docs")) == snapshot(other)
    assert not flock.box(FOLLOWS).problems


def test_nothing_is_concluded_from_a_target_that_is_away(flock: Bench) -> None:
    folder = flock.fill()
    flock.link("docs", folder)
    flock.link("nowhere", flock.outside / "nowhere")
    flock.settle()
    folder.rename(flock.outside / "unplugged")
    flock.settle()
    assert flock.there("docs/a.txt") == "a"
    assert "not there" in flock.problem("docs")
    assert "not there" in flock.problem("nowhere")
    flock.write(1, "docs/a.txt", "changed elsewhere")
    flock.write(1, "nowhere/x", "made elsewhere")
    flock.settle()
    assert "not there" in flock.problem("docs/a.txt")
    assert "not there" in flock.problem("nowhere/x")
    (flock.outside / "unplugged").rename(folder)
    (folder / "a.txt").write_text("back again")
    flock.settle()
    assert flock.there("docs/a.txt") == "back again"
    assert "docs" not in flock.box(FOLLOWS).problems


def test_a_restart_in_between_changes_nothing(flock: Bench) -> None:
    folder = flock.fill()
    flock.link("docs", folder)
    flock.settle()
    flock.write(1, "docs/a.txt", "changed elsewhere")
    flock.settle()
    flock.stop(FOLLOWS)
    flock.restart(FOLLOWS)
    flock.settle()
    assert flock.problem("docs/a.txt") == SEND_ONLY
    assert (folder / "a.txt").read_text() == "a"
    assert flock.there("docs/a.txt") == "changed elsewhere"


def test_links_of_the_flock_are_put_and_never_followed(flock: Bench) -> None:
    folder = flock.fill()
    flock.path(1, "evil").symlink_to(folder)
    flock.settle_equal()
    assert os.readlink(flock.path(FOLLOWS, "evil")) == str(folder)
    # Moved about here, it is still what the flock made.
    flock.path(FOLLOWS, "sub").mkdir()
    flock.path(FOLLOWS, "evil").rename(flock.path(FOLLOWS, "sub/renamed"))
    flock.settle_equal()
    assert flock.tree(1) == {"sub", "sub/renamed"}
    # A way over it is none either.
    flock.link("own", "sub/renamed")
    flock.settle()
    assert "over another one in the box" in flock.problem("own")
    assert flock.tree(1) == {"sub", "sub/renamed"}


def test_a_link_of_the_flock_cannot_stop_one_that_is_followed(flock: Bench) -> None:
    folder = flock.fill()
    flock.link("docs", folder)
    flock.settle()
    flock.path(1, "same").symlink_to(folder)
    flock.settle()
    assert flock.path(FOLLOWS, "same").is_symlink()
    assert flock.there("docs/a.txt") == "a"


def test_links_followed_before_are_so_after_an_adoption(flock: Bench) -> None:
    flock.link("docs", flock.fill())
    flock.settle()
    flock.nodes[FOLLOWS].keeper.adopt("box", flock.now)
    flock.link("fresh", flock.fill("other"))
    flock.settle()
    assert flock.there("docs/a.txt") == "a"
    assert flock.there("fresh/a.txt") == "a"
    assert not flock.box(FOLLOWS).problems


def test_after_an_index_is_lost_no_old_link_is_followed(flock: Bench) -> None:
    folder = flock.fill()
    flock.link("docs", folder)
    secret = flock.fill("secret")
    flock.path(1, "evil").symlink_to(secret)
    flock.settle()
    flock.stop(FOLLOWS)
    flock.path(1, "evil").unlink()
    for path in flock.root.glob("state0/box.sqlite*"):
        path.write_bytes(b"spoiled" * 1000)
    flock.restart(FOLLOWS)
    flock.settle()
    assert "before the box was adopted" in flock.problem("docs")
    assert not flock.path(FOLLOWS, "evil").is_symlink(), "the flock's, and deleted there"
    assert "before the box was adopted" in flock.problem("docs/a.txt"), "held, not fetched"
    assert flock.there("docs/a.txt") == "a"
    flock.path(FOLLOWS, "docs").unlink()
    flock.link("docs", folder)
    flock.settle()
    (folder / "a.txt").write_text("edited")
    flock.settle()
    assert flock.there("docs/a.txt") == "edited"
    assert flock.tree(1) == {"docs", "docs/a.txt", "docs/deep", "docs/deep/b.bin"}


def test_one_that_stops_following_loses_nothing(flock: Bench) -> None:
    folder = flock.fill()
    flock.link("docs", folder)
    flock.settle()
    flock.stop(FOLLOWS)
    flock.follows = False
    flock.restart(FOLLOWS)
    flock.settle_equal()
    assert flock.there("docs/a.txt") == "a"
    assert (folder / "a.txt").read_text() == "a"
    flock.write(1, "docs/a.txt", "changed elsewhere")
    flock.settle_equal()
    assert (folder / "a.txt").read_text() == "a"
