"""Extended attributes between members that want them and others, from disk to disk."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from flocksy.boxes.setup import BoxSetup
from flocksy.sync.attributes import decode_attributes
from flocksy.system import xattrs
from tests.boxes.flock_of_boxes import Flock
from tests.boxes.flock_of_boxes import spool as spool  # a fixture
from tests.boxes.test_attributes import BLUE, RED, blob, set_tags, skip_without, tags
from tests.boxes.test_restoring import restore


class Tagging(Flock):
    """The first two nodes want them."""

    wanting = (0, 1)

    def setup(self, lane: int) -> BoxSetup:
        return replace(super().setup(lane), attributes=lane in self.wanting)

    def want(self, *lanes: int) -> None:
        """As the word in the configurations says from now on."""
        self.wanting = lanes
        for node in self.nodes:
            node.keeper.remove("box")
            node.keeper.add(self.setup(node.lane), self.now)
        self.settle()


@pytest.fixture
def flock(tmp_path: Path, spool: Path) -> Iterator[Tagging]:
    skip_without(tmp_path)
    with Tagging(tmp_path, spool) as made:
        yield made


def write(flock: Flock, lane: int, name: str, content: str | bytes, attributes: bytes) -> Path:
    path = flock.write(lane, name, content)
    set_tags(path, attributes)
    return path


def shown(flock: Flock, name: str) -> list[bytes]:
    return [tags(flock.path(node.lane, name)) for node in flock.up]


def test_they_come_where_they_are_wanted_and_stay_whoever_edits(flock: Tagging) -> None:
    write(flock, 0, "small", "text", RED)
    write(flock, 0, "d/large", os.urandom(300_000), RED)
    flock.settle_equal()
    for name in ("small", "d/large"):
        assert shown(flock, name) == [RED, RED, b""]
    with open(flock.path(2, "d/large"), "r+b") as file:
        file.write(b"an edit")
    new = flock.write(2, ".new", "saved by a rename")
    new.replace(flock.path(2, "small"))
    flock.settle_equal()
    assert flock.path(0, "small").read_text() == "saved by a rename"
    flock.path(2, "small").rename(flock.path(2, "moved"))
    flock.path(2, "d/large").chmod(0o600)
    flock.settle_equal()
    for name in ("moved", "d/large"):
        assert shown(flock, name) == [RED, RED, b""]


def test_a_tag_moves_no_content_and_its_removal_comes_too(flock: Tagging) -> None:
    path = write(flock, 0, "f", os.urandom(300_000), RED)
    flock.settle_equal()
    said, bursts = flock.said_bytes, len(flock.bursts)
    inode = os.stat(flock.path(1, "f")).st_ino
    set_tags(path, blob(tag="red", comment="x" * 100))
    flock.settle_equal()
    assert shown(flock, "f")[1] == tags(path)
    assert flock.said_bytes - said < 20_000
    assert len(flock.bursts) == bursts, "it rides in heartbeats"
    set_tags(flock.path(1, "f"), b"")
    flock.settle_equal()
    assert shown(flock, "f") == [b"", b"", b""]
    assert os.stat(flock.path(1, "f")).st_ino == inode
    assert not flock.history(1), "nothing was replaced"


def test_two_tags_at_once_end_equal_without_a_copy(flock: Tagging) -> None:
    write(flock, 0, "f", "text", RED)
    flock.settle_equal()
    set_tags(flock.path(0, "f"), BLUE)
    set_tags(flock.path(1, "f"), blob(rating="5"))
    flock.settle_equal()
    first, second, _ = shown(flock, "f")
    assert first == second
    assert flock.tree(0) == {"f"}


def test_who_begins_to_want_them_gets_and_adds_some(flock: Tagging) -> None:
    write(flock, 0, "f", "text", RED)
    write(flock, 2, "own", "text", BLUE)
    flock.settle_equal()
    set_tags(flock.path(2, "f"), blob(rating="5"))
    flock.settle_equal()
    assert shown(flock, "f")[:2] == [RED, RED]
    assert shown(flock, "own")[:2] == [b"", b""]
    flock.want(0, 1, 2)
    flock.settle_equal()
    assert [decode_attributes(one) for one in shown(flock, "f")] == [
        {b"tag": b"red", b"rating": b"5"}
    ] * 3
    assert shown(flock, "own") == [BLUE] * 3
    assert flock.tree(0) == {"f", "own"}


def test_what_was_lost_while_nobody_asked_comes_back(flock: Tagging) -> None:
    write(flock, 0, "f", "text", RED)
    flock.settle_equal()
    flock.want(0)
    flock.settle_equal()
    new = flock.write(1, ".new", "saved by a rename")
    new.replace(flock.path(1, "f"))
    flock.settle_equal()
    flock.want(0, 1)
    flock.settle_equal()
    assert shown(flock, "f")[:2] == [RED, RED]


def test_a_member_that_was_away_gets_them(flock: Tagging) -> None:
    write(flock, 0, "f", "text", RED)
    flock.settle_equal()
    flock.kill(1)
    set_tags(flock.path(0, "f"), BLUE)
    write(flock, 0, "g", "text", RED)
    flock.settle()
    flock.restart(1)
    flock.settle_equal()
    assert (shown(flock, "f")[1], shown(flock, "g")[1]) == (BLUE, RED)


def test_more_than_is_synced_stays_with_its_file(flock: Tagging) -> None:
    write(flock, 0, "f", "text", RED)
    flock.settle_equal()
    path = flock.path(1, "f")
    for number in range(64):
        os.setxattr(path, f"user.{number}", b"")
    with open(path, "r+b") as file:
        file.write(b"edit")
    flock.settle()
    assert flock.path(0, "f").read_text() == "edit"
    assert tags(flock.path(0, "f")) == RED
    assert "65 extended attributes" in flock.box(1).problems["f"]
    set_tags(path, BLUE)
    flock.settle_equal()
    assert shown(flock, "f")[:2] == [BLUE, BLUE]


def test_a_disk_that_refuses_has_the_rest_and_strips_nobody(
    flock: Tagging, monkeypatch: pytest.MonkeyPatch
) -> None:
    really = xattrs.set_user_attribute

    def refusing(handle: int | str, name: bytes, value: bytes | None) -> None:
        place = os.readlink(f"/proc/self/fd/{handle}")
        if name == b"large" and str(flock.path(1)) in place:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        really(handle, name, value)

    large = blob(large="x" * 3000, tag="red")
    with monkeypatch.context() as full:
        full.setattr(xattrs, "set_user_attribute", refusing)
        write(flock, 0, "f", "text", large)
        flock.settle()
        assert flock.path(1, "f").read_text() == "text"
        flock.run_until(lambda: "f" in flock.box(1).problems)
        assert "no room" in flock.box(1).problems["f"]
        assert shown(flock, "f")[1] == b""
        with open(flock.path(1, "f"), "r+b") as file:
            file.write(b"edit")
        flock.settle()
        assert flock.path(0, "f").read_text() == "edit"
        assert shown(flock, "f")[0] == large
    flock.run_until(lambda: shown(flock, "f")[1] == large)
    flock.settle_equal()


def test_a_disk_that_holds_none_is_said_and_works(
    flock: Tagging, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(flock, 0, "f", "text", RED)
    flock.settle_equal()

    def none(*_: object) -> dict[bytes, bytes]:
        raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP))

    node = flock.nodes[1]
    node.keeper.remove("box")
    with monkeypatch.context() as without:
        without.setattr(xattrs, "user_attributes", none)
        node.keeper.add(flock.setup(1), flock.now)
    flock.settle()
    assert "holds no extended attributes" in flock.box(1).problems[""]
    with open(flock.path(1, "f"), "r+b") as file:
        file.write(b"edit")
    flock.settle()
    assert not flock.unequal()
    assert shown(flock, "f")[0] == RED


def test_restoring_brings_those_of_the_version(flock: Tagging) -> None:
    path = write(flock, 0, "f", os.urandom(100_000), RED)
    flock.settle_equal()
    path.unlink()
    flock.settle_equal()
    restore(flock, 2, "f")  # where nobody asks for them
    assert shown(flock, "f") == [RED, RED, b""]


def test_conflict_copies_have_their_own(flock: Tagging) -> None:
    flock.settle()
    write(flock, 0, "f", "one", RED)
    write(flock, 1, "f", "two", BLUE)
    flock.settle_equal()
    names = flock.tree(0)
    assert len(names) == 2
    for lane in (0, 1):
        found = {flock.path(lane, name).read_text(): tags(flock.path(lane, name)) for name in names}
        assert found == {"one": RED, "two": BLUE}
