"""Batches on a real disk: what is done, what is left alone, and what is never lost."""

from __future__ import annotations

import errno
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from flocksy.boxes.apply.applier import Report, Result
from flocksy.boxes.apply.history import FOLDER
from flocksy.boxes.apply.placing import INCOMING, SCRATCH
from flocksy.boxes.apply.remedies import UNFIT
from flocksy.boxes.disk.filesystem import RealDisk
from flocksy.boxes.disk.port import PRIVATE, Stat
from flocksy.sync.capabilities import Capabilities
from flocksy.sync.operations import DiskOperation
from flocksy.sync.version import Kind
from tests.boxes.bench import MTIME_NS, Bench, finish, root_of
from tests.boxes.disks import Died, folding_bench


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    bench.close()


def results(report: Report) -> list[Result]:
    return [outcome.result for outcome in report.outcomes]


def test_brings_everything_that_a_box_can_hold(bench: Bench) -> None:
    report = bench.apply(
        bench.make_directory("d", 0o750),
        bench.make_directory("d/empty"),
        bench.put("d/ä 🐦.txt", b"text", mode=0o600),
        bench.put("none", b""),
        bench.put_link("link", "../out of the box"),
    )
    assert results(report) == [Result.DONE] * 5
    assert bench.paths() == {"d", "d/empty", "d/ä 🐦.txt", "none", "link"}
    found = os.stat(bench.root / "d/ä 🐦.txt")
    assert found.st_mode & 0o7777 == 0o600
    assert found.st_mtime_ns == MTIME_NS
    assert os.stat(bench.root / "d").st_mode & 0o7777 == 0o750
    assert os.readlink(bench.root / "link") == "../out of the box"
    assert not report.rescan
    assert not bench.temporaries()


def test_the_index_has_what_was_read_back(bench: Bench) -> None:
    operation = bench.put("f", b"1")
    report = bench.apply(operation)
    found = bench.disk.stat("f")
    assert found is not None
    assert bench.local("f") == found.entry(root_of(b"1")) == report.outcomes[0].disk
    synced = bench.index.synced("f")
    assert synced is not None
    assert synced.disk == bench.local("f")
    assert synced.heads == operation.synced_heads
    assert not bench.index.journal.open_rows()


def test_what_is_replaced_goes_to_the_history(bench: Bench) -> None:
    bench.apply(bench.put("f", b"old"))
    report = bench.apply(bench.put("f", b"new"))
    assert bench.read("f") == b"new"
    assert list(bench.kept().values()) == [b"old"]
    assert bench.rows() == dict.fromkeys(bench.kept(), "f")
    assert [row.root for row in report.kept] == [root_of(b"old")]


def test_what_is_removed_goes_to_the_history(bench: Bench) -> None:
    bench.apply(bench.make_directory("d"), bench.put("d/f", b"1"), bench.put_link("d/l", "text"))
    report = bench.apply(bench.remove("d"), bench.remove("d/f"), bench.remove("d/l"))
    assert results(report) == [Result.DONE] * 3
    assert bench.paths() == set()
    assert sorted(bench.kept().values()) == [b"1", b"text"]
    assert bench.index.local("d/f") is None
    synced = bench.index.synced("d/f")
    assert synced is not None and synced.disk is None


def test_a_rename_moves_no_data(bench: Bench) -> None:
    bench.apply(bench.put("old", b"content"))
    inode = os.stat(bench.root / "old").st_ino
    report = bench.apply(
        bench.make_directory("d"),
        bench.put("d/new", b"content", source="old", mode=0o600, mtime_ns=5_000_000_000),
        bench.remove("old"),
    )
    assert results(report) == [Result.DONE] * 3
    found = os.stat(bench.root / "d/new")
    assert (found.st_ino, found.st_nlink) == (inode, 1)
    assert (found.st_mode & 0o777, found.st_mtime_ns) == (0o600, 5_000_000_000)
    assert bench.paths() == {"d", "d/new"}
    assert not bench.kept()
    assert report.rescan == ("d/new",), "its time was set where people edit: look once more"
    shown = bench.disk.stat("d/new")
    assert shown is not None
    assert bench.local("d/new") == shown.entry(root_of(b"content"))


def test_a_rename_over_a_directory_is_whole(bench: Bench) -> None:
    """The old name goes with the same batch: it is the same file, and gets the time of the new."""
    bench.apply(bench.put("x", b"content"), bench.make_directory("d"), bench.put("d/f", b"1"))
    report = bench.apply(
        bench.put("d", b"content", source="x", mtime_ns=5_000_000_000),
        bench.remove("x"),
        bench.remove("d/f"),
    )
    assert results(report) == [Result.DONE] * 3
    assert bench.paths() == {"d"}
    assert bench.read("d") == b"content"


def test_one_source_for_two_paths_makes_two_files(bench: Bench) -> None:
    bench.apply(bench.put("old", b"content"))
    report = bench.apply(
        bench.put("a", b"content", source="old"),
        bench.put("b", b"content", source="old"),
        bench.remove("old"),
    )
    assert results(report) == [Result.DONE] * 3
    assert bench.paths() == {"a", "b"}
    assert os.stat(bench.root / "a").st_ino != os.stat(bench.root / "b").st_ino
    assert bench.read("a") == bench.read("b") == b"content"


def test_an_edited_source_is_not_renamed(bench: Bench) -> None:
    bench.apply(bench.put("old", b"content"))
    operations = bench.put("new", b"content", source="old"), bench.remove("old")
    bench.edit("old", b"an edit")
    report = bench.apply(*operations)
    assert results(report) == [Result.CHANGED] * 2
    assert bench.paths() == {"old"}
    assert bench.read("old") == b"an edit"
    assert report.rescan == ("new", "old")
    assert not bench.temporaries()


def test_metadata_alone(bench: Bench) -> None:
    bench.apply(bench.make_directory("d"), bench.put("d/f", b"1"))
    report = bench.apply(bench.set_metadata("d/f", 0o700, 77), bench.set_metadata("d", 0o700))
    assert results(report) == [Result.DONE] * 2
    found = os.stat(bench.root / "d/f")
    assert (found.st_mode & 0o777, found.st_mtime_ns) == (0o700, 77)
    assert bench.local("d/f").mode == 0o700
    assert not bench.kept()


def test_setuid_bits_are_never_set_and_go(bench: Bench) -> None:
    bench.apply(bench.put("f", b"1", mode=0o4755))
    assert os.stat(bench.root / "f").st_mode & 0o7777 == 0o755


def test_kinds_replace_each_other(bench: Bench) -> None:
    bench.apply(bench.put("a", b"file"), bench.make_directory("b"), bench.put_link("c", "text"))
    put_over_directory = bench.put("b", b"was a directory")
    report = bench.apply(
        bench.make_directory("a"),
        bench.put("a/below", b"1"),
        put_over_directory,
        bench.put("c", b"was a link"),
    )
    assert results(report) == [Result.DONE] * 4
    assert bench.paths() == {"a", "a/below", "b", "c"}
    assert bench.read("b") == b"was a directory"
    assert sorted(bench.kept().values()) == [b"file", b"text"]


def test_a_directory_is_removed_and_a_file_comes_in_its_place(bench: Bench) -> None:
    bench.apply(bench.make_directory("a"), bench.put("a/below", b"1"))
    operations = [bench.remove("a/below"), bench.remove("a")]
    bench.index.set_local("a", None)
    operation = bench.put("a", b"file")
    report = bench.apply(*operations, operation)
    assert results(report) == [Result.DONE] * 3
    assert bench.read("a") == b"file"
    assert bench.local("a").kind is Kind.FILE
    synced = bench.index.synced("a")
    assert synced is not None and synced.disk is not None


def test_a_directory_with_something_in_it_stays(bench: Bench) -> None:
    bench.apply(bench.make_directory("d"), bench.make_directory("e"))
    operations = bench.remove("d"), bench.put("e", b"file")
    (bench.root / "d/local").write_bytes(b"edit")
    (bench.root / "e/local").write_bytes(b"edit")
    report = bench.apply(*operations)
    assert results(report) == [Result.BLOCKED, Result.CHANGED]
    assert "still has something in it" in report.outcomes[0].problem
    assert bench.paths() == {"d", "d/local", "e", "e/local"}


def replace(path: Path) -> None:
    """As most editors save."""
    path.with_name("x").write_bytes(b"an edit")
    path.with_name("x").rename(path)


def make_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


EDITS: dict[str, Callable[[Path], object]] = {
    "in place": lambda path: path.write_bytes(b"an edit"),
    "renamed over": replace,
    "deleted": Path.unlink,
    "touched": lambda path: os.utime(path, ns=(1, 1)),
    "made a directory": make_directory,
}


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS.keys())
def test_an_edit_since_the_scan_is_left_alone(bench: Bench, edit: Callable[[Path], object]) -> None:
    bench.apply(*(bench.put(path, b"old") for path in ("put", "removed", "dressed")))
    operations = (
        bench.put("put", b"new"),
        bench.remove("removed"),
        bench.set_metadata("dressed", 0o600),
        bench.put("other", b"goes on"),
    )
    for path in ("put", "removed", "dressed"):
        edit(bench.root / path)
    before = {path: bench.disk.stat(path) for path in ("put", "removed", "dressed")}
    report = bench.apply(*operations)
    assert results(report) == [Result.CHANGED] * 3 + [Result.DONE]
    assert report.rescan == ("dressed", "put", "removed")
    assert {path: bench.disk.stat(path) for path in before} == before
    assert bench.local("put").root == root_of(b"old"), "the scan is to find it"


@pytest.mark.parametrize("when", ["since the scan", "in that instant"])
def test_another_link_that_looks_like_it_is_left_alone(tmp_path: Path, when: str) -> None:
    """Its text has the same length, its time is of the same tick, its inode number had got free."""
    (tmp_path / "box").mkdir()
    disk = Interfering(str(tmp_path / "box"))
    bench = Bench(tmp_path, disk, Capabilities(stable_inodes=False))
    bench.apply(bench.put_link("put", "theirs"), bench.put_link("removed", "theirs"))
    operations = bench.put_link("put", "later"), bench.remove("removed")

    def edit() -> None:
        for path in ("put", "removed"):
            found = os.lstat(bench.root / path)
            (bench.root / path).unlink()
            os.symlink("mine!!", bench.root / path)
            times = found.st_atime_ns, found.st_mtime_ns
            os.utime(bench.root / path, ns=times, follow_symlinks=False)

    if when == "since the scan":
        edit()
        for path in ("put", "removed"):
            shown = bench.disk.stat(path)
            assert shown is not None
            bench.index.set_local(path, shown.entry(bench.local(path).root))
        operations = bench.put_link("put", "later"), bench.remove("removed")
    else:
        disk.before["exchange put"] = edit
    report = bench.apply(*operations)
    assert results(report) == [Result.CHANGED] * 2
    assert {os.readlink(bench.root / path) for path in ("put", "removed")} == {"mine!!"}
    bench.close()


def test_something_new_at_the_path_is_left_alone(bench: Bench) -> None:
    operations = bench.put("f", b"flock"), bench.make_directory("d"), bench.put_link("l", "text")
    for name in ("f", "d", "l"):
        (bench.root / name).write_bytes(b"mine")
    report = bench.apply(*operations)
    assert results(report) == [Result.CHANGED] * 3
    assert all(bench.read(name) == b"mine" for name in ("f", "d", "l"))


class Interfering(RealDisk):
    """Somebody edits in the very instant before or after a call."""

    def __init__(self, root: str) -> None:
        super().__init__(root)
        self.before: dict[str, Callable[[], None]] = {}
        self.after: dict[str, Callable[[], None]] = {}

    def _now(self, when: dict[str, Callable[[], None]], what: str) -> None:
        act = when.pop(what, None)
        if act is not None:
            act()

    def exchange(self, temporary: str, path: str) -> None:
        self._now(self.before, f"exchange {path}")
        super().exchange(temporary, path)
        self._now(self.after, f"exchange {path}")

    def move(self, source: str, target: str) -> None:
        self._now(self.before, f"move {source}")
        super().move(source, target)
        self._now(self.after, f"move {source}")

    def set_metadata(
        self, path: str, mode: int | None, mtime_ns: int | None, inode: int | None = None
    ) -> Stat:
        self._now(self.before, f"set {path}")
        return super().set_metadata(path, mode, mtime_ns, inode)


@pytest.fixture
def raced(tmp_path: Path) -> Iterator[tuple[Bench, Interfering]]:
    (tmp_path / "box").mkdir()
    disk = Interfering(str(tmp_path / "box"))
    bench = Bench(tmp_path, disk)
    yield bench, disk
    bench.close()


def test_an_edit_in_the_instant_before_the_exchange_is_put_back(
    raced: tuple[Bench, Interfering],
) -> None:
    bench, disk = raced
    bench.apply(bench.put("f", b"old"))
    disk.before["exchange f"] = lambda: bench.edit("f", b"an edit")
    report = bench.apply(bench.put("f", b"new"))
    assert results(report) == [Result.CHANGED]
    assert bench.read("f") == b"an edit"
    assert not bench.kept()
    assert report.rescan == ("f",)


def test_two_edits_around_the_exchange_are_both_kept(raced: tuple[Bench, Interfering]) -> None:
    bench, disk = raced
    bench.apply(bench.put("f", b"old"))

    disk.before["exchange f"] = lambda: bench.edit("f", b"first edit")
    disk.after["exchange f"] = lambda: replace(bench.root / "f")
    report = bench.apply(bench.put("f", b"new"))
    assert results(report) == [Result.CHANGED]
    assert bench.read("f") == b"an edit"
    assert list(bench.kept().values()) == [b"first edit"]


def folder_in_place(path: Path, content: bytes) -> None:
    """Somebody puts a directory with a file in it where a file was."""
    path.unlink()
    (path / "deeper").mkdir(parents=True)
    (path / "deeper" / "file").write_bytes(content)


def test_two_edits_around_the_exchange_the_first_a_directory(
    raced: tuple[Bench, Interfering],
) -> None:
    bench, disk = raced
    bench.apply(bench.put("f", b"old"))
    disk.before["exchange f"] = lambda: folder_in_place(bench.root / "f", b"theirs")
    disk.after["exchange f"] = lambda: replace(bench.root / "f")
    report = bench.apply(bench.put("f", b"new"))
    assert results(report) == [Result.CHANGED]
    assert bench.read("f") == b"an edit"
    assert list(bench.kept().values()) == [b"theirs"]
    assert bench.rows() == dict.fromkeys(bench.kept(), "f/deeper/file")
    assert not bench.temporaries()


def test_an_edit_and_a_file_put_into_the_directory_that_came_over_it(
    raced: tuple[Bench, Interfering],
) -> None:
    """The directory that is taken back is no longer the empty one that was brought."""
    bench, disk = raced
    bench.apply(bench.put("f", b"old"))
    disk.before["exchange f"] = lambda: bench.edit("f", b"an edit")
    disk.after["exchange f"] = lambda: (bench.root / "f" / "x").write_bytes(b"put in") and None
    report = bench.apply(bench.make_directory("f"))
    assert results(report) == [Result.CHANGED]
    assert bench.read("f/x") == b"put in"
    assert list(bench.kept().values()) == [b"an edit"]
    assert bench.rows() == dict.fromkeys(bench.kept(), "f")
    assert not bench.temporaries()


def test_a_directory_and_a_newcomer_around_the_removal(raced: tuple[Bench, Interfering]) -> None:
    bench, disk = raced
    bench.apply(bench.put("f", b"old"))
    disk.before["move f"] = lambda: folder_in_place(bench.root / "f", b"theirs")
    disk.after["move f"] = lambda: (bench.root / "f").write_bytes(b"an edit") and None
    report = bench.apply(bench.remove("f"))
    assert results(report) == [Result.CHANGED]
    assert bench.read("f") == b"an edit"
    assert list(bench.kept().values()) == [b"theirs"]
    assert bench.rows() == dict.fromkeys(bench.kept(), "f/deeper/file")


def test_an_edit_and_a_deletion_around_the_exchange(raced: tuple[Bench, Interfering]) -> None:
    bench, disk = raced
    bench.apply(bench.put("f", b"old"))
    disk.before["exchange f"] = lambda: bench.edit("f", b"an edit")
    disk.after["exchange f"] = lambda: os.unlink(bench.root / "f")
    report = bench.apply(bench.put("f", b"new"))
    assert results(report) == [Result.CHANGED]
    assert bench.paths() == set()
    assert list(bench.kept().values()) == [b"an edit"]


@pytest.mark.parametrize("refused", [0, errno.EIO])
def test_a_newcomer_in_the_middle_of_an_exchange_in_two_steps(
    raced: tuple[Bench, Interfering], refused: int
) -> None:
    bench, disk = raced
    disk._exchange = False
    bench.apply(bench.put("f", b"old"))
    operation = bench.put("f", b"new")
    temporary = bench.names["f", root_of(b"new")]

    def come() -> None:
        (bench.root / "f").write_bytes(b"somebody's")
        if refused:
            raise OSError(refused, "refused")

    disk.before[f"move {temporary}"] = come
    report = bench.apply(operation)
    assert results(report) == [Result.PROBLEM if refused else Result.CHANGED]
    assert bench.read("f") == b"somebody's"
    assert list(bench.kept().values()) == [b"old"]
    assert bench.rows() == dict.fromkeys(bench.kept(), "f")
    assert bench.read(temporary) == b"new"
    assert bench.temporaries() == [temporary.rpartition("/")[2]]


@pytest.mark.parametrize(
    ("brought", "act"),
    [
        ("a file", "write"),
        ("a file", "delete"),
        ("a link", "write"),
        ("a link", "delete"),
        ("a directory", "write"),
        ("a directory", "delete"),
        ("a directory", "fill"),
    ],
)
def test_what_was_brought_is_changed_while_the_history_refuses_what_stood_there(
    raced: tuple[Bench, Interfering], brought: str, act: str
) -> None:
    """The change is one of what was brought: what stood there before, which may be shown elsewhere
    by now, has nobody touched."""
    bench, disk = raced
    bench.apply(bench.put_link("f", "old"))
    old = bench.local("f").root
    operation = {
        "a file": lambda: bench.put("f", b"new"),
        "a link": lambda: bench.put_link("f", "new"),
        "a directory": lambda: bench.make_directory("f"),
    }[brought]()
    there = bench.root / "f"

    def refuse() -> None:
        if act == "fill":
            (there / "x").write_bytes(b"put in")
        elif brought == "a directory":
            there.rmdir()
        else:
            there.unlink()
        if act == "write":
            there.write_bytes(b"an edit")
        raise OSError(errno.EIO, "refused")

    taken = f"{INCOMING}/apply-2"  # the first was that of the link
    if brought == "a file":
        taken = bench.names["f", root_of(b"new")]
    disk.before[f"move {taken}"] = refuse
    report = bench.apply(operation)
    assert results(report) == [Result.DONE]
    synced = bench.index.synced("f")
    assert synced is not None
    assert synced.heads == operation.synced_heads
    assert bench.paths() == {"write": {"f"}, "delete": set(), "fill": {"f", "f/x"}}[act]
    assert act != "write" or bench.read("f") == b"an edit"
    # A directory is the same whatever is in it: that is found by its own path.
    assert report.rescan == (() if act == "fill" else ("f",))
    assert [row.root for row in report.kept] == [old]
    assert list(bench.kept().values()) == [b"old"]
    assert bench.rows() == dict.fromkeys(bench.kept(), "f")
    assert not bench.temporaries()


def test_an_edit_in_the_instant_after_is_found_by_the_scan(
    raced: tuple[Bench, Interfering],
) -> None:
    bench, disk = raced
    bench.apply(bench.put("f", b"old"))
    disk.after["exchange f"] = lambda: bench.edit("f", b"an edit")
    operation = bench.put("f", b"new")
    report = bench.apply(operation)
    assert results(report) == [Result.DONE]
    assert report.rescan == ("f",)
    synced = bench.index.synced("f")
    assert synced is not None
    assert synced.heads == operation.synced_heads, "the edit's parent is what it was made from"
    assert bench.read("f") == b"an edit"
    assert bench.local("f").root == root_of(b"new")


def test_an_edit_in_the_instant_of_the_removal_comes_back(
    raced: tuple[Bench, Interfering],
) -> None:
    bench, disk = raced
    bench.apply(bench.put("f", b"old"))
    disk.before["move f"] = lambda: bench.edit("f", b"an edit")
    report = bench.apply(bench.remove("f"))
    assert results(report) == [Result.CHANGED]
    assert bench.read("f") == b"an edit"
    assert not bench.kept()


def test_an_edit_whose_folder_somebody_removes_with_it_is_kept(
    raced: tuple[Bench, Interfering],
) -> None:
    bench, disk = raced
    bench.apply(bench.make_directory("d"), bench.put("d/f", b"old"))
    disk.before["move d/f"] = lambda: bench.edit("d/f", b"an edit")
    disk.after["move d/f"] = lambda: os.rmdir(bench.root / "d")
    report = bench.apply(bench.remove("d/f"))
    assert results(report) == [Result.CHANGED]
    assert not bench.paths()
    assert list(bench.kept().values()) == [b"an edit"]
    assert bench.rows() == dict.fromkeys(bench.kept(), "d/f")


def test_a_renamed_file_edited_in_the_instant_keeps_the_edit_at_its_new_path(
    raced: tuple[Bench, Interfering],
) -> None:
    bench, disk = raced
    bench.apply(bench.put("old", b"content"))
    disk.before["move old"] = lambda: bench.edit("old", b"an edit")
    report = bench.apply(bench.put("new", b"content", source="old"), bench.remove("old"))
    assert bench.paths() == {"new"}
    assert bench.read("new") == b"an edit"
    assert "new" in report.rescan


def test_a_renamed_file_overwritten_as_it_comes_is_kept(raced: tuple[Bench, Interfering]) -> None:
    """Its new name is somebody else's by then, so its old one must not be dropped."""
    bench, disk = raced
    bench.apply(bench.put("old", b"content"))

    def overwrite() -> None:
        (bench.root / "other").write_bytes(b"another")
        (bench.root / "other").rename(bench.root / "new")

    disk.before["move old"] = overwrite
    bench.apply(bench.put("new", b"content", source="old"), bench.remove("old"))
    assert bench.read("new") == b"another"
    assert list(bench.kept().values()) == [b"content"]
    assert bench.rows() == dict.fromkeys(bench.kept(), "old")


HIDING_NS = 1_600_000_000_000_000_000


def write_same_size(path: Path) -> None:
    """An edit that only the times of the file betray."""
    with open(path, "r+b") as file:
        file.write(b"CONTENT")


def test_no_edit_hides_behind_the_time_of_a_renamed_file(
    raced: tuple[Bench, Interfering],
) -> None:
    """Edited between the link and the setting of its time: afterwards only a reader can tell."""
    bench, disk = raced
    bench.apply(bench.put("old", b"content"))
    renamed = bench.put("new", b"content", source="old", mtime_ns=HIDING_NS)
    disk.before["set new"] = lambda: write_same_size(bench.root / "new")
    report = bench.apply(renamed, bench.remove("old"))
    assert bench.read("new") == b"CONTENT"
    assert report.rescan == ("new",)
    assert bench.index.unsettled(10) == ["new"]


def test_an_edit_between_a_rename_and_its_dressing_keeps_its_own_time(
    raced: tuple[Bench, Interfering],
) -> None:
    bench, disk = raced
    bench.apply(bench.put("old", b"content"))
    renamed = bench.put("new", b"content", source="old", mtime_ns=HIDING_NS)
    disk.after[f"move {old_name(bench)}"] = lambda: write_same_size(bench.root / "new")
    report = bench.apply(renamed, bench.remove("old"))
    assert os.stat(bench.root / "new").st_mtime_ns != HIDING_NS
    assert report.rescan == ("new",)
    assert bench.local("new").mtime_ns != os.stat(bench.root / "new").st_mtime_ns


def old_name(bench: Bench) -> str:
    """The temporary that the applier makes next."""
    return f"{INCOMING}/apply-{bench.applier._preparer._count + 1}"


def test_no_edit_hides_behind_a_time_that_is_set(raced: tuple[Bench, Interfering]) -> None:
    bench, disk = raced
    bench.apply(bench.put("f", b"content"))
    disk.before["set f"] = lambda: write_same_size(bench.root / "f")
    report = bench.apply(bench.set_metadata("f", 0o600, HIDING_NS))
    assert report.rescan == ("f",)
    assert bench.index.unsettled(10) == ["f"]


def test_an_edit_before_a_change_of_mode_alone_is_found(
    raced: tuple[Bench, Interfering],
) -> None:
    bench, disk = raced
    bench.apply(bench.put("f", b"content"))
    disk.before["set f"] = lambda: write_same_size(bench.root / "f")
    report = bench.apply(bench.set_metadata("f", 0o600))
    assert results(report) == [Result.CHANGED]
    assert report.rescan == ("f",)
    assert os.stat(bench.root / "f").st_mtime_ns != MTIME_NS, "its editor's time is left alone"


def test_a_change_of_mode_alone_needs_no_other_look(bench: Bench) -> None:
    bench.apply(bench.put("f", b"content"))
    report = bench.apply(bench.set_metadata("f", 0o600))
    assert results(report) == [Result.DONE]
    assert not report.rescan
    assert not bench.index.unsettled(10)


class Failing(RealDisk):
    """A disk that refuses some paths."""

    refuse: dict[str, int]

    def _maybe(self, path: str) -> None:
        number = self.refuse.get(path)
        if number is not None:
            raise OSError(number, os.strerror(number), path)

    def move(self, source: str, target: str) -> None:
        self._maybe(source)
        self._maybe(target)
        super().move(source, target)

    def exchange(self, temporary: str, path: str) -> None:
        self._maybe(path)
        super().exchange(temporary, path)

    def flush_file(self, path: str) -> None:
        self._maybe(path)
        super().flush_file(path)


def test_what_was_brought_and_cannot_be_looked_at_is_noted(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unsaid, the next scan would take it for somebody's."""
    stat, move = bench.disk.stat, bench.disk.move
    refuses: set[str] = set()

    def refuse(path: str) -> object:
        if path in refuses:
            raise OSError(errno.EIO, "Input/output error")
        return stat(path)

    def moved(source: str, target: str) -> None:
        move(source, target)
        refuses.add(target)

    monkeypatch.setattr(bench.disk, "stat", refuse)
    monkeypatch.setattr(bench.disk, "move", moved)
    operation = bench.put("f", b"1")
    report = bench.apply(operation)
    assert "f" in report.rescan
    synced = bench.index.synced("f")
    assert synced is not None and synced.heads == operation.synced_heads
    assert synced.disk is not None and synced.disk.root == root_of(b"1")


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "the disk is full"),
        (errno.EACCES, "permission denied"),
        (errno.EROFS, "mounted read-only"),
        (errno.EXDEV, "another file system"),
        (errno.EIO, "cannot be written"),
    ],
)
def test_what_the_disk_refuses_is_one_problem_each(tmp_path: Path, number: int, words: str) -> None:
    (tmp_path / "box").mkdir()
    disk = Failing(str(tmp_path / "box"))
    disk.refuse = {}
    bench = Bench(tmp_path, disk)
    bench.apply(*(bench.put(path, b"old") for path in ("changed", "removed", "fine")))
    operations = (
        bench.put("changed", b"new"),
        bench.put("new", b"new"),
        bench.remove("removed"),
        bench.put("flushed", b"new"),
        bench.put("fine", b"new"),
    )
    disk.refuse = dict.fromkeys(("changed", "new", "removed"), number)
    disk.refuse[bench.names["flushed", root_of(b"new")]] = number
    report = bench.apply(*operations)
    lasting = Result.BLOCKED if number in UNFIT else Result.PROBLEM
    assert results(report) == [lasting] * 4 + [Result.DONE]
    assert all(words in outcome.problem for outcome in report.outcomes[:4])
    assert report.disk_full == (number == errno.ENOSPC)
    assert bench.paths() == {"changed", "removed", "fine"}
    assert [bench.read(path) for path in ("changed", "removed", "fine")] == [b"old", b"old", b"new"]
    assert bench.local("changed").root == root_of(b"old")
    bench.close()


def test_content_that_is_not_here_is_a_problem(bench: Bench) -> None:
    operation = bench.put("f", b"new")
    bench.names.clear()
    report = bench.apply(operation)
    assert results(report) == [Result.PROBLEM]
    assert report.outcomes[0].problem == "its content has not arrived"


def test_entries_of_a_read_only_directory_follow_the_flock(bench: Bench) -> None:
    bench.apply(bench.make_directory("d", 0o555), bench.put("d/f", b"1"), bench.put("d/g", b"1"))
    report = bench.apply(bench.put("d/f", b"2"), bench.remove("d/g"))
    assert results(report) == [Result.DONE] * 2
    assert bench.read("d/f") == b"2"
    assert os.stat(bench.root / "d").st_mode & 0o777 == 0o555


def test_a_full_history_stops_replacing_but_not_adding(tmp_path: Path) -> None:
    bench = Bench(tmp_path, cap_bytes=10)
    bench.apply(bench.put("a", b"x" * 20), bench.put("b", b"old"))
    bench.apply(bench.remove("a"))
    report = bench.apply(bench.put("b", b"new"), bench.put("c", b"1"))
    assert results(report) == [Result.PROBLEM, Result.DONE]
    assert "history" in report.outcomes[0].problem
    assert bench.read("b") == b"old"
    for _ in range(2):  # of one sleep no more than five days count
        bench.now_ms += 4 * 24 * 3600 * 1000
        bench.history.look_at_clock()
    report = bench.apply(bench.put("b", b"new"))
    assert results(report) == [Result.DONE]
    assert sorted(bench.kept().values()) == [b"old"]
    assert bench.rows() == dict.fromkeys(bench.kept(), "b")
    bench.close()


def test_a_history_that_somebody_has_removed_begins_anew(bench: Bench) -> None:
    bench.apply(bench.put("f", b"old"))
    bench.now_ms += 1
    bench.apply(bench.put("f", b"new"))
    shutil.rmtree(bench.root / FOLDER)
    bench.now_ms += 1
    report = bench.apply(bench.put("f", b"newer"))
    assert results(report) == [Result.DONE]
    assert list(bench.kept().values()) == [b"new"]


def test_folders_of_ours_that_somebody_has_removed_are_made_anew(bench: Bench) -> None:
    bench.apply(bench.put("a", b"content"))
    shutil.rmtree(bench.root / INCOMING)
    report = bench.apply(bench.put("b", b"content", source="a"), bench.remove("a"))
    assert results(report) == [Result.DONE] * 2
    shutil.rmtree(bench.root / SCRATCH)
    finish(bench.applier.rehearse([bench.stage("own", b"1")]))
    assert not bench.temporaries() and not list((bench.root / SCRATCH).iterdir())
    shutil.rmtree(bench.root / PRIVATE)
    with suppress(OSError):
        bench.apply(bench.make_directory("d"))
    assert not (bench.root / PRIVATE).exists(), "then the box is another's"


def test_case_only_renames(tmp_path: Path) -> None:
    bench, _ = folding_bench(tmp_path)
    bench.apply(
        bench.put("readme", b"1"), bench.make_directory("Dir"), bench.put("Dir/below", b"2")
    )
    report = bench.apply(
        bench.make_directory("dir"),
        bench.put("README", b"1", source="readme"),
        bench.put("dir/below", b"2", source="Dir/below"),
        bench.remove("readme"),
        bench.remove("Dir/below"),
        bench.remove("Dir"),
    )
    assert results(report) == [Result.DONE] * 6
    assert bench.paths() == {"README", "dir", "dir/below"}
    assert bench.read("README") == b"1"
    assert bench.read("dir/below") == b"2"
    assert not bench.kept()
    bench.close()


def test_a_newcomer_in_the_middle_of_a_case_only_rename(tmp_path: Path) -> None:
    """The old spelling goes first, and then the new one is not to be had."""
    bench, disk = folding_bench(tmp_path)
    bench.apply(bench.put("readme", b"1"))
    remove_file = disk.remove_file

    def come(path: str) -> None:
        remove_file(path)
        (bench.root / "Readme").write_bytes(b"somebody's")

    disk.remove_file = come  # type: ignore[method-assign]  # in the very instant after
    report = bench.apply(bench.put("README", b"1", source="readme"), bench.remove("readme"))
    assert results(report)[0] is Result.CHANGED
    assert bench.read("Readme") == b"somebody's"
    assert list(bench.kept().values()) == [b"1"]
    assert bench.rows() == dict.fromkeys(bench.kept(), "README")
    bench.close()


@pytest.mark.parametrize("newcomer", ["a file", "a directory"])
def test_a_newcomer_where_a_directory_gets_another_case(tmp_path: Path, newcomer: str) -> None:
    """It is among the temporaries for an instant; what is in it stays in sight."""
    bench, disk = folding_bench(tmp_path)
    bench.apply(bench.make_directory("Dir"), bench.put("Dir/below", b"2"))
    (bench.root / "Dir" / "ignored").write_bytes(b"not synced")
    move = disk.move

    def come(source: str, target: str) -> None:
        move(source, target)
        if source == "Dir":
            if newcomer == "a file":
                (bench.root / "dir").write_bytes(b"somebody's")
            else:
                (bench.root / "dir").mkdir()

    disk.move = come  # type: ignore[method-assign]  # in the very instant after
    report = bench.apply(
        bench.make_directory("dir"),
        bench.put("dir/below", b"2", source="Dir/below"),
        bench.remove("Dir/below"),
        bench.remove("Dir"),
    )
    assert results(report)[0] is Result.CHANGED
    assert set(report.rescan) >= {"Dir", "dir"}
    assert not bench.temporaries()
    assert set(bench.kept().values()) == {b"2", b"not synced"}
    assert (bench.root / "dir").is_file() == (newcomer == "a file")
    bench.close()


def test_a_directory_that_cannot_get_another_case_keeps_its_name(tmp_path: Path) -> None:
    bench, disk = folding_bench(tmp_path)
    bench.apply(bench.make_directory("Dir"), bench.put("Dir/below", b"2"))
    move = disk.move

    def refuse(source: str, target: str) -> None:
        if target == "dir":
            raise OSError(errno.ENOSPC, "no space", target)
        move(source, target)

    disk.move = refuse  # type: ignore[method-assign]
    report = bench.apply(
        bench.make_directory("dir"),
        bench.put("dir/below", b"2", source="Dir/below"),
        bench.remove("Dir/below"),
        bench.remove("Dir"),
    )
    assert results(report)[0] is Result.PROBLEM
    assert bench.read("Dir/below") == b"2"
    assert not bench.temporaries()
    bench.close()


def test_names_that_are_one_to_this_disk_are_a_problem(tmp_path: Path) -> None:
    bench, _ = folding_bench(tmp_path)
    bench.apply(bench.put("readme", b"1"))
    report = bench.apply(bench.put("README", b"2"))
    assert results(report) == [Result.BLOCKED]
    assert "cannot tell its name" in report.outcomes[0].problem
    assert bench.read("readme") == b"1"
    bench.close()


def test_what_no_box_holds_is_left_and_said(bench: Bench) -> None:
    os.mkfifo(bench.root / "p")
    report = bench.apply(bench.put("p", b"1"))
    assert results(report) == [Result.BLOCKED]
    assert "FIFO" in report.outcomes[0].problem
    assert stat.S_ISFIFO(os.stat(bench.root / "p").st_mode)


def test_the_rehearsal_leaves_nothing(bench: Bench) -> None:
    names = [bench.stage(f"f{number}", b"content") for number in range(20)]
    finish(bench.applier.rehearse(names))
    assert not bench.temporaries()
    assert not os.listdir(bench.root / SCRATCH)
    assert bench.paths() == set()
    assert not bench.index.journal.open_rows()


def test_works_in_slices(bench: Bench) -> None:
    work = bench.applier.apply([bench.put(f"f{number}", b"1") for number in range(600)])
    assert sum(1 for _ in work) > 1
    assert len(bench.paths()) == 600


def test_a_time_that_this_system_cannot_tell_is_one_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where `time_t` has 32 bits, after January 2038."""
    bench = Bench(tmp_path)
    utime, late_ns = os.utime, (1 << 31) * 10**9

    def narrow(path: int | str, *, ns: tuple[int, int]) -> None:
        if ns[1] >= late_ns:
            raise OverflowError("timestamp out of range for platform time_t")
        utime(path, ns=ns)

    monkeypatch.setattr(os, "utime", narrow)
    report = bench.apply(bench.put("late", b"1", mtime_ns=late_ns), bench.put("f", b"2"))
    results = {outcome.operation.path: outcome for outcome in report.outcomes}
    assert results["late"].result is Result.PROBLEM and "time" in results["late"].problem
    assert results["f"].result is Result.DONE
    bench.close()


def test_what_was_removed_before_it_is_rehearsed(bench: Bench) -> None:
    """People make room."""
    names = [bench.stage("one", b"1"), bench.stage("two", b"2")]
    (bench.root / names[0]).unlink()
    finish(bench.applier.rehearse(names))
    assert not list((bench.root / INCOMING).iterdir())
    assert not list((bench.root / SCRATCH).iterdir())


def test_a_mode_is_not_left_alone_where_the_time_is_refused(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next look would take it for somebody's change, and tell it."""
    bench.apply(bench.put("f", b"1"))

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(os, "utime", refuse)
    report = bench.apply(bench.set_metadata("f", 0o600, 77))
    assert results(report) == [Result.PROBLEM]
    found = bench.disk.stat("f")
    assert found is not None and found.entry(root_of(b"1")) == bench.local("f")
    monkeypatch.undo()
    assert results(bench.apply(bench.set_metadata("f", 0o600, 77))) == [Result.DONE]


def refuse_mode(*_: object, **__: object) -> None:
    raise OSError(errno.EPERM, "Operation not permitted")


@pytest.mark.parametrize("cut", ["", "before it is dressed", "when it is dressed"])
@pytest.mark.parametrize("renamed", [False, True])
def test_a_time_that_was_set_is_known_where_the_mode_is_refused(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, renamed: bool, cut: str
) -> None:
    """The next scan would take it for somebody's change, and tell it."""
    path = "new" if renamed else "f"
    bench.apply(bench.put("f", b"1"))
    if renamed:
        moved = bench.put("new", b"1", mode=0o600, mtime_ns=77, source="f")
        batch: list[DiskOperation] = [moved, bench.remove("f")]
    else:
        batch = [bench.set_metadata("f", 0o600, 77)]
    monkeypatch.setattr(os, "chmod", refuse_mode)
    if cut:
        part = "_dress" if cut.startswith("before") else "_read_back"
        with monkeypatch.context() as cutting:
            cutting.setattr(bench.applier, part, die)
            with pytest.raises(Died):
                bench.apply(*batch)
        report = finish(bench.applier.recover())
    else:
        report = bench.apply(*batch)
        outcome = report.outcomes[0]
        assert outcome.result is Result.DONE and "not permitted" in outcome.problem
    assert report.rescan == (path,) and bench.index.unsettled(9) == [path]
    found, synced = bench.disk.stat(path), bench.index.synced(path)
    assert found is not None and (found.mode, found.mtime_ns) == (0o644, 77)
    assert found.entry(root_of(b"1")) == bench.local(path)
    assert synced is not None and synced.disk == bench.local(path)
    again = bench.apply(bench.set_metadata(path, 0o600, 77))
    assert results(again) == [Result.PROBLEM]
    monkeypatch.undo()
    assert results(bench.apply(bench.set_metadata(path, 0o600, 77))) == [Result.DONE]


def die(*_: object) -> None:
    raise Died


def test_an_edit_in_the_instant_in_which_a_mode_is_refused(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What shows then is theirs, and not what was brought."""
    bench.apply(bench.put("f", b"1"))

    def refuse_edited(*_: object, **__: object) -> None:
        bench.edit("f", b"an edit")
        refuse_mode()

    before = bench.local("f")
    monkeypatch.setattr(os, "chmod", refuse_edited)
    report = bench.apply(bench.set_metadata("f", 0o600, 77))
    assert results(report) == [Result.CHANGED]
    assert report.rescan == ("f",)
    assert bench.local("f") == before
