"""Old content back: from this disk's history, and from any member's."""

from __future__ import annotations

import errno
import os
import shutil
import time
from pathlib import Path

import pytest

from flocksy.boxes.disk.filesystem import RealDisk
from flocksy.boxes.disk.port import Stat
from flocksy.boxes.past import deciding
from flocksy.boxes.past import recall as recall_room
from flocksy.boxes.past.conflicts import conflict_of, conflicts
from flocksy.boxes.past.moments import moment_of
from flocksy.boxes.past.recall import Moment, Recall
from flocksy.boxes.past.restoring import NOBODY_HAS_IT, Restoring
from flocksy.errors import FlocksyError
from flocksy.index.journal import HISTORY, Kept
from flocksy.sync.content import small_list
from flocksy.sync.messages import Entry, Versions
from flocksy.sync.version import Kind, Version
from flocksy.testing.trees import snapshot
from tests.boxes.flock_of_boxes import Flock, flock, spool

__all__ = ["flock", "spool"]

PATIENCE_S = 20.0


def recall(flock: Flock, lane: int) -> Recall:
    box = flock.box(lane)
    return Recall(box.index, box.disk)


def now_ms(flock: Flock) -> int:
    return int(flock.now * 1000)


def begin(flock: Flock, lane: int, path: str, moment: Moment | None = None) -> Restoring:
    box = flock.box(lane)
    return Restoring(
        box.index,
        box.staging,
        box.planning,
        box.record,
        recall(flock, lane).choose(path, moment),
        patience_s=PATIENCE_S,
        now=flock.now,
    )


def restore(flock: Flock, lane: int, path: str, moment: Moment | None = None) -> Restoring:
    """As the command does it, until it is done."""
    restoring = begin(flock, lane, path, moment)

    def done() -> bool:
        restoring.turn(flock.now, flock.box(lane).intake.changed.__contains__)
        return restoring.done

    flock.run_until(done)
    flock.settle_equal()
    return restoring


@pytest.mark.parametrize("size", [0, 100, 300_000], ids=["empty", "small", "large"])
def test_where_it_was_deleted_it_comes_from_the_others(flock: Flock, size: int) -> None:
    content = os.urandom(size)
    path = flock.write(0, "folder/file", content)
    path.chmod(0o640)
    os.utime(path, ns=(0, 1_600_000_000_000_000_000))
    flock.settle_equal()
    before = snapshot(flock.path(0))
    path.unlink()
    flock.settle_equal()
    flock.box(0).index.tidy()
    for lane in range(3):
        assert not flock.path(lane, "folder/file").exists()
    restoring = restore(flock, 0, "folder/file")
    assert (restoring.restored, restoring.failed) == (["folder/file"], {})
    assert snapshot(flock.path(2)) == before


def test_a_member_whose_history_has_it_restores_without_asking(flock: Flock) -> None:
    content = os.urandom(500_000)
    flock.write(0, "large", content)
    flock.settle_equal()
    flock.path(0, "large").unlink()
    flock.settle_equal()
    flock.stop(0)
    flock.settle()
    said = flock.said_bytes
    restore(flock, 1, "large")
    assert flock.path(2, "large").read_bytes() == content
    assert flock.said_bytes - said < 20_000, "both had it on their disks"


def test_an_edit_is_undone_and_the_newer_content_kept(flock: Flock) -> None:
    for content in ("one", "two", "three"):
        flock.write(0, "file", content)
        flock.settle_equal()
    restore(flock, 0, "file")
    assert flock.path(1, "file").read_text() == "two"
    restore(flock, 2, "file")
    assert flock.path(1, "file").read_text() == "three"
    versions = recall(flock, 1).versions("file")
    assert [one.until_ms is None for one in versions] == [True, False, False, False, False]
    oldest = versions[-1]
    restore(flock, 1, "file", Moment(id_digits=oldest.id.hex()[:8]))
    assert flock.path(0, "file").read_text() == "one"


def test_what_the_disk_cannot_show_of_the_history_keeps_nobody_from_the_rest(
    flock: Flock, monkeypatch: pytest.MonkeyPatch
) -> None:
    for content in ("one", "two"):
        flock.write(0, "file", content)
        flock.settle_equal()
    box = flock.box(0)
    with box.index.transaction():
        box.index.journal.keep(Kept("2026-01-01/sick", "file", b"v" * 16, b"r" * 32, 7, 9))
    stat = type(box.disk).stat

    def sick(disk: RealDisk, path: str) -> Stat | None:
        if path.endswith("/sick"):
            raise OSError(errno.EIO, "Input/output error")
        return stat(disk, path)

    monkeypatch.setattr(type(box.disk), "stat", sick)
    assert len(recall(flock, 0).versions("file")) == 2
    restore(flock, 0, "file")
    assert flock.path(1, "file").read_text() == "one"


def test_what_somebody_has_edited_in_the_history_comes_from_the_others(flock: Flock) -> None:
    """Of a version that the index has forgotten: its size is not that of what is there now."""
    flock.write(0, "file", "one")
    flock.settle_equal()
    flock.write(0, "file", "another")
    flock.settle_equal()
    box = flock.box(1)
    with box.index.transaction():
        box.index.past.forget(1 << 60)
    (row,) = box.index.journal.kept_of("file", 10)
    (flock.path(1) / HISTORY / row.name).write_text("written into")
    (one,) = [one for one in recall(flock, 1).versions("file") if one.until_ms is not None]
    assert one.version.size == 3 and one.kept is None and not one.here
    restore(flock, 1, "file", Moment(id_digits=one.id.hex()))
    assert flock.path(0, "file").read_text() == "one"


def test_a_link_and_a_directory(flock: Flock) -> None:
    flock.path(0, "folder").mkdir(mode=0o750)
    flock.path(0, "folder/link").symlink_to("where/ever")
    flock.settle_equal()
    before = snapshot(flock.path(0))
    shutil.rmtree(flock.path(0, "folder"))
    flock.settle_equal()
    flock.box(0).index.tidy()
    restore(flock, 0, "folder")
    assert snapshot(flock.path(1)) == before


def test_a_directory_gets_back_what_was_deleted_with_it(flock: Flock) -> None:
    for name in ("tree/a", "tree/sub/b", "tree/long gone", "tree/stays"):
        flock.write(0, name, name)
    flock.settle_equal()
    flock.path(0, "tree/long gone").unlink()
    flock.settle_equal()
    flock.now += 600
    shutil.rmtree(flock.path(0, "tree/sub"))
    flock.path(0, "tree/a").unlink()
    flock.settle_equal()
    restoring = restore(flock, 0, "tree")
    assert set(restoring.restored) == {"tree/a", "tree/sub", "tree/sub/b"}
    assert flock.tree(1) == {"tree", "tree/a", "tree/sub", "tree/sub/b", "tree/stays"}
    with pytest.raises(FlocksyError, match="nothing else is known"):
        recall(flock, 0).choose("tree/stays", None)


def test_as_it_was_at_a_time(flock: Flock) -> None:
    for name in ("tree/edited", "tree/deleted", "tree/same"):
        flock.write(0, name, "old")
    flock.settle_equal()
    flock.now += 3600
    then = Moment(at_ms=now_ms(flock))
    flock.now += 3600
    flock.write(0, "tree/edited", "new")
    flock.write(0, "tree/made later", "new")
    flock.path(1, "tree/deleted").unlink()
    flock.settle_equal()
    flock.now += 3600
    flock.write(0, "tree/edited", "newer")
    flock.path(0, "tree/made later").unlink()
    flock.settle_equal()
    restoring = restore(flock, 0, "tree", then)
    assert set(restoring.restored) == {"tree/edited", "tree/deleted"}
    assert flock.tree(1) == {"tree", "tree/edited", "tree/deleted", "tree/same"}
    assert flock.path(2, "tree/edited").read_text() == "old"
    with pytest.raises(FlocksyError, match="as of then"):
        recall(flock, 0).choose("tree/same", then)


def test_beside_an_edit_that_has_not_arrived(flock: Flock) -> None:
    for content in ("one", "two"):
        flock.write(0, "file", content)
        flock.settle_equal()
    flock.write(1, "file", "unseen")  # not superseded: nobody has seen it there
    restore(flock, 0, "file")
    assert "unseen" in {flock.path(2, name).read_text() for name in flock.tree(2)}


def test_what_nobody_has_is_given_up_and_nothing_changes(flock: Flock) -> None:
    flock.write(0, "file", os.urandom(100_000))
    flock.settle_equal()
    flock.path(0, "file").unlink()
    flock.settle_equal()
    for lane in (1, 2):
        shutil.rmtree(flock.path(lane, ".flocksy/history"))
        flock.path(lane, ".flocksy/history").mkdir()
    flock.box(0).index.tidy()
    restoring = begin(flock, 0, "file")

    def done() -> bool:
        restoring.turn(flock.now)
        return restoring.done

    flock.run_until(done)
    assert restoring.failed == {"file": NOBODY_HAS_IT}
    flock.settle_equal()
    assert flock.tree(0) == set()
    assert flock.box(0).staging.wants(10) == []


def test_given_up_half_way_the_rest_stays_as_it_was(flock: Flock) -> None:
    flock.write(0, "small", "x")
    flock.write(0, "large", os.urandom(400_000))
    flock.settle_equal()
    for name in ("small", "large"):
        flock.path(0, name).unlink()
    flock.settle_equal()
    flock.box(0).index.tidy()
    flock.stop(1)
    restoring = begin(flock, 0, "")
    restoring.turn(flock.now)
    restoring.give_up("no patience")
    flock.settle_equal()
    assert set(restoring.failed) == {"small", "large"}
    assert flock.tree(2) == set()


def test_what_is_deleted_is_listed_with_where_it_went(flock: Flock) -> None:
    flock.write(0, "moved", "somewhere else")
    flock.write(0, "gone", "for good")
    flock.settle_equal()
    flock.path(0, "moved").rename(flock.path(0, "here"))
    flock.path(0, "gone").unlink()
    flock.settle_equal()
    for lane in range(3):
        found = {one.path: moved for one, moved in recall(flock, lane).deleted("", 10)}
        assert found == {"moved": "here", "gone": None}


def test_too_many_paths_are_refused(flock: Flock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recall_room, "MAX_PATHS", 2)
    for number in range(3):
        flock.write(0, f"{number}", "x")
    flock.settle_equal()
    for number in range(3):
        flock.path(0, f"{number}").unlink()
    flock.settle_equal()
    with pytest.raises(FlocksyError, match="more than 2 paths"):
        recall(flock, 0).choose("", None)


# -- conflicts -------------------------------------------------------------------------------------


def make_conflict(flock: Flock, path: str = "file") -> tuple[str, dict[str, str]]:
    """The path of the copy, and what stands where."""
    flock.write(2, path, "before")
    flock.settle_equal()
    for lane in (0, 1):
        flock.write(lane, path, f"by {lane}")
    flock.settle_equal()
    files = [name for name in flock.tree(2) if flock.path(2, name).is_file()]
    contents = {name: flock.path(2, name).read_text() for name in files}
    (copy,) = contents.keys() - {path}
    return copy, contents


def decide(flock: Flock, lane: int, path: str, *, both: bool = False) -> None:
    deciding.decide(flock.box(lane), path, both=both, remedy="")
    flock.settle_equal()


@pytest.mark.parametrize("keeps", ["owner", "copy"])
def test_a_conflict_is_decided_for_everybody(flock: Flock, keeps: str) -> None:
    copy, contents = make_conflict(flock)
    (found,) = conflicts(flock.box(0).index)
    assert (found.path, [one.path for one in found.copies]) == ("file", [copy])
    assert conflict_of(flock.box(0).index, copy)[0] == found
    kept = "file" if keeps == "owner" else copy
    decide(flock, 1, kept)
    assert flock.tree(0) == {"file"}
    assert flock.path(2, "file").read_text() == contents[kept]
    assert not list(conflicts(flock.box(2).index))
    # What was put away is in every history, and can be had back.
    other = contents[copy if keeps == "owner" else "file"]
    assert other in {one.read_text() for one in flock.history(2)}


@pytest.mark.parametrize("named", ["folder/file", "folder"])
@pytest.mark.parametrize("how", ["deleted", "resolved"])
def test_a_copy_that_was_put_away_is_not_what_stood_at_the_path(
    flock: Flock, how: str, named: str
) -> None:
    copy, contents = make_conflict(flock, "folder/file")
    flock.now += 3600
    then = Moment(at_ms=now_ms(flock))
    flock.now += 3600
    if how == "deleted":
        flock.path(1, copy).unlink()
        flock.settle_equal()
    else:
        decide(flock, 1, "folder/file")
    assert flock.tree(0) == {"folder", "folder/file"}
    with pytest.raises(FlocksyError, match="as of then"):
        recall(flock, 0).choose(named, then)
    # What has been edited since goes back to what stood there.
    flock.write(2, "folder/file", "newer")
    flock.settle_equal()
    restore(flock, 0, named, then)
    assert flock.path(1, "folder/file").read_text() == contents["folder/file"]
    assert flock.tree(1) == {"folder", "folder/file"}


@pytest.mark.parametrize("named", ["folder/file", "folder"])
def test_what_stood_at_the_path_and_shows_as_a_copy_now_comes_back_to_it(
    flock: Flock, named: str
) -> None:
    _, contents = make_conflict(flock, "folder/file")
    flock.now += 3600
    then = Moment(at_ms=now_ms(flock))
    flock.now += 3600
    decide(flock, 1, "folder/file")
    theirs = Version(Kind.FILE, 0o644, 1, 6, small_list(b"theirs").root, 9, ())
    for lane in range(3):
        said = Entry("folder/file", theirs, inline=b"theirs")
        message = Versions(flock.box(lane).setup.tag, (said,))
        flock.box(lane).receive(message, own=False, now=flock.now)
    flock.settle_equal()
    assert flock.path(0, "folder/file").read_text() == "theirs"
    restore(flock, 0, named, then)
    assert flock.path(1, "folder/file").read_text() == contents["folder/file"]
    assert flock.tree(1) == {"folder", "folder/file"}


def test_both_sides_are_kept(flock: Flock) -> None:
    copy, contents = make_conflict(flock)
    decide(flock, 0, "file", both=True)
    assert {name: flock.path(1, name).read_text() for name in flock.tree(1)} == contents
    assert not list(conflicts(flock.box(1).index))
    flock.path(2, copy).unlink()
    flock.settle_equal()
    assert flock.tree(0) == {"file"}


def test_what_is_no_conflict(flock: Flock) -> None:
    flock.write(0, "file", "x")
    flock.settle_equal()
    with pytest.raises(FlocksyError, match="no conflict copies"):
        conflict_of(flock.box(0).index, "file")


# -- what --at says --------------------------------------------------------------------------------

NOON_MS = 1_790_000_000_000


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("v3FA2c1d0", Moment(id_digits="3fa2c1d0")),
        ("90m", Moment(at_ms=NOON_MS - 5_400_000)),
        ("2 d", Moment(at_ms=NOON_MS - 172_800_000)),
        ("2026-09-21T10:00:00+00:00", Moment(at_ms=1_789_984_800_000)),
        ("2026-09-20", Moment(at_ms=int(time.mktime((2026, 9, 20, 0, 0, 0, 0, 0, -1))) * 1000)),
    ],
)
def test_moments(text: str, moment: Moment) -> None:
    assert moment_of(text, NOON_MS) == moment


@pytest.mark.parametrize("text", ["", "yesterday", "v12", "3fa2c1d0", "9999-01-01", "1x", "v" * 40])
def test_what_is_no_moment(text: str) -> None:
    with pytest.raises(FlocksyError, match="--at"):
        moment_of(text, NOON_MS)


def test_paths_are_found_in_their_boxes(tmp_path: Path) -> None:
    from flocksy.node.past import inside

    (tmp_path / "real").mkdir()
    (tmp_path / "way").symlink_to(tmp_path / "real")
    boxes = [("one", str(tmp_path / "way")), ("two", str(tmp_path / "real2"))]
    assert inside(boxes, str(tmp_path / "way/a/b")) == ("one", "a/b")
    assert inside(boxes, str(tmp_path / "real/a/gone/")) == ("one", "a/gone")
    assert inside(boxes, str(tmp_path / "real")) == ("one", "")
    assert inside(boxes, str(tmp_path / "real2/x")) == ("two", "x")
    with pytest.raises(FlocksyError, match="no box"):
        inside(boxes, str(tmp_path / "real3"))


def test_by_way_of_a_link_the_path_is_meant_that_the_box_knows(tmp_path: Path) -> None:
    """Whichever of the two names comes first."""
    from flocksy.node.past import inside

    boxes = [("one", str(tmp_path))]
    for folder, link in (("a", "z"), ("b", "0")):
        (tmp_path / folder).mkdir()
        (tmp_path / link).symlink_to(folder)
        there, typed = ("one", f"{folder}/f"), ("one", f"{link}/f")
        for meant in (there, typed):
            given = str(tmp_path / link / "f")
            assert inside(boxes, given, lambda *at, meant=meant: at == meant) == meant
            assert inside(boxes, given) == typed, "nobody knows it: as it was typed"
