"""What people and the power do between the death of a node in a batch and its recovery."""

from __future__ import annotations

import errno
import os
from dataclasses import replace
from pathlib import Path

import pytest

from flocksy.boxes.apply.applier import Applier, Report
from flocksy.boxes.apply.history import FOLDER
from flocksy.boxes.disk.filesystem import RealDisk
from flocksy.boxes.disk.port import Stat
from flocksy.sync.operations import synced_after
from flocksy.sync.version import Kind
from tests.boxes.bench import MTIME_NS, Bench, finish, root_of
from tests.boxes.disks import Died, Dying, Forgetful, folding_bench


def test_death_while_a_directory_is_taken_back_that_is_empty_no_longer(tmp_path: Path) -> None:
    (tmp_path / "box").mkdir()
    disk = Dying(str(tmp_path / "box"))
    bench = Bench(tmp_path, disk)
    bench.apply(bench.put("f", b"old"))
    exchange, done = disk.exchange, 0

    def exchanged(temporary: str, path: str) -> None:
        nonlocal done
        if done == 0:
            bench.edit(path, b"an edit")
        exchange(temporary, path)
        done += 1
        if done == 1:
            (bench.root / path / "x").write_bytes(b"put in")
        else:
            raise Died

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(disk, "exchange", exchanged)
        with pytest.raises(Died):
            bench.apply(bench.make_directory("f"))
    finish(bench.applier.recover())
    assert bench.read("f") == b"an edit"
    assert list(bench.kept().values()) == [b"put in"]
    assert bench.rows() == dict.fromkeys(bench.kept(), "f/x")
    assert not bench.temporaries()
    bench.close()


def test_a_new_name_overwritten_during_the_recovery(tmp_path: Path) -> None:
    """The old name of a renamed file is then the last of it."""
    (tmp_path / "box").mkdir()
    disk = Dying(str(tmp_path / "box"))
    bench = Bench(tmp_path, disk)
    bench.apply(bench.put("old name", b"content"))
    operations = [
        bench.put("new name", b"content", source="old name", mtime_ns=7),
        bench.remove("old name"),
    ]
    with pytest.MonkeyPatch.context() as patch:

        def die(_: str) -> None:
            raise Died

        patch.setattr(disk, "remove_file", die)
        with pytest.raises(Died):
            finish(bench.applier.apply(operations))
    assert not (bench.root / "old name").exists()
    dress = disk.set_metadata

    def overwritten(
        path: str, mode: int | None, mtime_ns: int | None, inode: int | None = None
    ) -> Stat:
        if path == "new name":
            (tmp_path / "saved").write_bytes(b"somebody's")
            os.replace(tmp_path / "saved", bench.root / path)
        return dress(path, mode, mtime_ns, inode)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(disk, "set_metadata", overwritten)
        finish(bench.applier.recover())
    assert bench.read("new name") == b"somebody's"
    assert list(bench.kept().values()) == [b"content"]
    assert bench.rows() == dict.fromkeys(bench.kept(), "old name")
    bench.close()


@pytest.mark.parametrize("step", ["move", "remove_file"])
def test_a_new_name_written_into_before_the_recovery(tmp_path: Path, step: str) -> None:
    """The old name is another one of the same file, so it shows the edit as well, and goes."""
    (tmp_path / "box").mkdir()
    disk = Dying(str(tmp_path / "box"))
    bench = Bench(tmp_path, disk)
    bench.apply(bench.put("old name", b"content"))
    operations = [bench.put("new name", b"content", source="old name"), bench.remove("old name")]
    call = getattr(disk, step)

    def die(path: str, *to: str) -> None:
        if path == "old name" or step == "remove_file":
            raise Died
        call(path, *to)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(disk, step, die)
        with pytest.raises(Died):
            bench.apply(*operations)
    with open(bench.root / "new name", "ab") as file:
        file.write(b", edited in place")
    report = finish(bench.applier.recover())
    assert report.rescan == ("new name",)
    assert bench.paths() == {"new name"} and not bench.kept()
    assert bench.read("new name") == b"content, edited in place"
    assert os.stat(bench.root / "new name").st_nlink == 1
    assert bench.index.local("old name") is None
    bench.close()


@pytest.mark.parametrize("kind", [Kind.FILE, Kind.SYMLINK])
@pytest.mark.parametrize("old", ["removed", "replaced", "there"])
def test_a_renamed_file_that_the_power_takes_back_to_no_name(
    tmp_path: Path, kind: Kind, old: str
) -> None:
    """Somebody saw it at its new name and removed the old one; the cut took the new one, and that
    is somebody's by now."""
    (tmp_path / "box").mkdir()
    disk = Dying(str(tmp_path / "box"))
    bench = Bench(tmp_path, disk)
    if kind is Kind.FILE:
        bench.apply(bench.put("old name", b"content"))
        put = bench.put("new name", b"content", source="old name", mtime_ns=7)
    else:
        bench.apply(bench.put_link("old name", "content"))
        put = bench.put_link("new name", "content")
    with pytest.MonkeyPatch.context() as patch:
        move = disk.move

        def cut(source: str, target: str) -> None:
            if source == "old name":
                raise Died
            move(source, target)
            if target == "new name":
                move(target, source)

        patch.setattr(disk, "move", cut)
        with pytest.raises(Died):
            finish(bench.applier.apply([put, bench.remove("old name")]))
    if old != "there":
        (bench.root / "old name").unlink()
    if old == "replaced":
        (bench.root / "old name").write_bytes(b"somebody's")
    (bench.root / "new name").write_bytes(b"somebody's")
    finish(bench.applier.recover())
    assert bench.read("new name") == b"somebody's"
    assert list(bench.kept().values()) == ([b"content"] if old != "there" else [])
    assert bench.rows() == dict.fromkeys(bench.kept(), "new name")
    assert not bench.temporaries()
    bench.close()


@pytest.mark.parametrize("change", ["nothing", "edited"])
def test_the_power_takes_the_days_directory_in_the_history(tmp_path: Path, change: str) -> None:
    """It was made before the batch was journalled, and would have been flushed with it."""
    (tmp_path / "box").mkdir()
    disk = Dying(str(tmp_path / "box"))
    bench = Bench(tmp_path, disk)
    bench.apply(bench.put("replaced", b"old"), bench.put("renamed", b"content"))
    operations = [
        bench.put("replaced", b"new"),
        bench.put("new name", b"content", source="renamed"),
        bench.remove("renamed"),
    ]

    move = disk.move

    def die(source: str, target: str) -> None:
        if target.startswith(FOLDER):
            raise Died
        move(source, target)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(disk, "move", die)
        with pytest.raises(Died):
            bench.apply(*operations)
    (day,) = (bench.root / FOLDER).iterdir()
    day.rmdir()
    if change == "edited":
        bench.edit("replaced", b"mine")
    bench.index.close()
    again = Bench(tmp_path, disk)
    finish(again.applier.recover())
    assert again.read("replaced") == (b"mine" if change == "edited" else b"new")
    assert list(again.kept().values()) == [b"old"]
    assert again.rows() == dict.fromkeys(again.kept(), "replaced")
    assert again.paths() == {"replaced", "new name"}, "the second half of the rename is done"
    again.close()


def test_an_edit_that_a_removal_took_away_and_whose_folder_is_gone(tmp_path: Path) -> None:
    (tmp_path / "box").mkdir()
    disk = Dying(str(tmp_path / "box"))
    bench = Bench(tmp_path, disk)
    bench.apply(bench.make_directory("d"), bench.put("d/f", b"old"))
    operation = bench.remove("d/f")
    move = disk.move

    def take(source: str, target: str) -> None:
        bench.edit("d/f", b"an edit")
        move(source, target)
        raise Died

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(disk, "move", take)
        with pytest.raises(Died):
            bench.apply(operation)
    (bench.root / "d").rmdir()
    bench.index.close()
    again = Bench(tmp_path, disk)
    report = finish(again.applier.recover())
    assert report.rescan == ("d/f",)
    assert list(again.kept().values()) == [b"an edit"]
    assert again.rows() == dict.fromkeys(again.kept(), "d/f")
    again.close()


@pytest.mark.parametrize("change", ["deleted", "edited", "of another kind", "as it was before"])
def test_what_a_batch_brought_and_somebody_changed_since(tmp_path: Path, change: str) -> None:
    """It is what the batch brought that was changed. What stood there before may be shown elsewhere
    by now, and nobody has deleted or replaced it."""
    bench = Bench(tmp_path)
    paths = ("file", "link", "file to folder", "link to folder", "gone")
    bench.apply(*(bench.put(path, b"old " + path.encode()) for path in paths if "link" not in path))
    bench.apply(*(bench.put_link(path, f"old {path}") for path in paths if "link" in path))
    old = {path: bench.local(path).root for path in paths}
    operations = [
        bench.put("file", b"new file"),
        bench.put_link("link", "new link"),
        bench.make_directory("file to folder"),
        bench.make_directory("link to folder"),
        bench.remove("gone"),
    ]
    journal = Forgetful(bench.index)
    bench.applier = Applier(bench.disk, journal, bench.history, bench, bench.capabilities)
    bench.apply(*operations)
    for path in paths:
        there = bench.root / path
        if there.is_dir():
            there.rmdir()
        else:
            there.unlink(missing_ok=True)
        if change == "of another kind" and path in ("file", "link"):
            there.mkdir()
        elif change == "of another kind":
            os.symlink("mine", there)
        elif change != "deleted":
            there.write_bytes(b"mine" if change == "edited" else b"old " + path.encode())
    bench.close()
    again = Bench(tmp_path)
    report = finish(again.applier.recover())
    for operation in operations:
        path = operation.path
        synced, local = again.index.synced(path), again.index.local(path)
        # Whatever the disk shows is not what it showed to the batch, and is to be looked at.
        assert path in report.rescan or (path, change) == ("gone", "deleted")
        if change == "deleted" and path != "gone":
            assert local is None, path
            assert synced is None, "it counts as never held"
            continue
        after = synced_after(operation, local)
        assert synced is not None
        assert after is not None
        assert synced.heads == after.heads, path
        assert synced.disk == local
        assert (local is None) is (path == "gone")
    assert {row.root for row in again.index.journal.kept(1 << 60, 100)} == set(old.values())
    assert set(again.rows()) == set(again.kept())
    assert not again.index.journal.open_rows()
    again.close()


def test_death_after_what_was_brought_was_changed_while_the_history_refused(
    tmp_path: Path,
) -> None:
    """The batch was done all the same: the change is not one of the link that stood there."""
    (tmp_path / "box").mkdir()
    disk = RealDisk(str(tmp_path / "box"))
    bench = Bench(tmp_path, disk)
    bench.apply(bench.put_link("f", "old"))
    operation = bench.make_directory("f")
    move, refused = disk.move, 0

    def refuse_once(source: str, target: str) -> None:
        nonlocal refused
        if target.startswith(FOLDER) and not refused:
            refused += 1
            (bench.root / "f").rmdir()
            (bench.root / "f").write_bytes(b"an edit")
            raise OSError(errno.EIO, "refused")
        move(source, target)

    journal = Forgetful(bench.index)
    bench.applier = Applier(bench.disk, journal, bench.history, bench, bench.capabilities)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(disk, "move", refuse_once)
        bench.apply(operation)
    assert refused
    bench.close()
    again = Bench(tmp_path)
    report = finish(again.applier.recover())
    synced = again.index.synced("f")
    assert synced is not None
    assert synced.heads == operation.synced_heads
    assert report.rescan == ("f",)
    assert again.read("f") == b"an edit"
    assert list(again.kept().values()) == [b"old"]
    assert again.rows() == dict.fromkeys(again.kept(), "f")
    assert not again.temporaries()
    again.close()


@pytest.mark.parametrize("act", ["write", "fill"])
def test_death_while_what_was_changed_is_brought_back(tmp_path: Path, act: str) -> None:
    """What somebody made of what was brought is the newest, and not what was put back there."""
    (tmp_path / "box").mkdir()
    disk = RealDisk(str(tmp_path / "box"))
    bench = Bench(tmp_path, disk)
    bench.apply(bench.put_link("f", "old"))
    operation = bench.make_directory("f")
    move, exchange, done = disk.move, disk.exchange, 0

    def refuse(source: str, target: str) -> None:
        if target.startswith(FOLDER):
            if act == "fill":
                (bench.root / "f/x").write_bytes(b"put in")
            else:
                (bench.root / "f").rmdir()
                (bench.root / "f").write_bytes(b"an edit")
            raise OSError(errno.EIO, "refused")
        move(source, target)

    def exchanged(temporary: str, path: str) -> None:
        nonlocal done
        exchange(temporary, path)
        done += 1
        if done == 2:
            raise Died

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(disk, "move", refuse)
        patch.setattr(disk, "exchange", exchanged)
        with pytest.raises(Died):
            bench.apply(operation)
    assert os.readlink(bench.root / "f") == "old"
    finish(bench.applier.recover())
    synced = bench.index.synced("f")
    assert synced is not None
    assert synced.heads == operation.synced_heads
    assert (bench.read("f") == b"an edit") if act == "write" else (bench.read("f/x") == b"put in")
    assert list(bench.kept().values()) == [b"old"]
    assert bench.rows() == dict.fromkeys(bench.kept(), "f")
    assert not bench.temporaries()
    bench.close()


def test_an_old_name_written_into_before_the_recovery_of_its_rename(tmp_path: Path) -> None:
    """It is the file that was to come over another: that has not happened, and does not."""
    (tmp_path / "box").mkdir()
    disk = RealDisk(str(tmp_path / "box"))
    bench = Bench(tmp_path, disk)
    bench.apply(bench.put("old name", b"content"), bench.put("new name", b"there before"))
    operations = bench.put("new name", b"content", source="old name"), bench.remove("old name")

    def die(_temporary: str, _path: str) -> None:
        raise Died

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(disk, "exchange", die)
        with pytest.raises(Died):
            bench.apply(*operations)
    bench.edit("old name", b"an edit")
    finish(bench.applier.recover())
    assert bench.read("old name") == b"an edit"
    assert bench.read("new name") == b"there before"
    assert not bench.temporaries()
    bench.close()


@pytest.mark.parametrize("above", ["gone", "a file", "a FIFO", "taken"])
def test_what_was_cleared_out_of_the_way_of_what_cannot_come(tmp_path: Path, above: str) -> None:
    """Nobody has deleted it: it counts as never held."""
    (tmp_path / "box").mkdir()
    disk = Dying(str(tmp_path / "box"))
    bench = Bench(tmp_path, disk)
    bench.apply(bench.make_directory("d"), bench.make_directory("d/there"))
    clear = replace(bench.remove("d/there"), synced=None)
    operations = clear, replace(bench.put("d/there", b"new"), expected=None)

    def die(_source: str, target: str) -> None:
        assert target == "d/there"
        raise Died

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(disk, "move", die)
        with pytest.raises(Died):
            bench.apply(*operations)
    assert not list((bench.root / "d").iterdir())
    if above != "taken":
        (bench.root / "d").rmdir()
    if above == "a file":
        (bench.root / "d").write_bytes(b"somebody's")
    elif above == "a FIFO":
        os.mkfifo(bench.root / "d")
    bench.close()
    again = Bench(tmp_path)
    report = recover_as_somebody_takes(again, "d/there" if above == "taken" else "")
    assert report.rescan == ("d/there",)
    assert again.index.local("d/there") is None
    assert again.index.synced("d/there") is None
    assert not again.index.journal.open_rows()
    assert above != "taken" or again.read("d/there") == b"somebody's"
    again.close()


def recover_as_somebody_takes(again: Bench, path: str) -> Report:
    """In the very instant in which something is brought to the path."""
    move = again.disk.move

    def taken(source: str, target: str) -> None:
        if target == path:
            (again.root / target).write_bytes(b"somebody's")
        move(source, target)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(again.disk, "move", taken)
        return finish(again.applier.recover())


def test_a_filled_directory_that_cannot_come(tmp_path: Path) -> None:
    """Where only the case of its name changes, what is in it is among the temporaries meanwhile."""
    (tmp_path / "box").mkdir()
    disk = Dying(str(tmp_path / "box"))
    bench = Bench(tmp_path, disk)

    def die(source: str, _target: str) -> None:
        (bench.root / source / "inside").write_bytes(b"here alone")
        raise Died

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(disk, "move", die)
        with pytest.raises(Died):
            bench.apply(bench.make_directory("dir"))
    bench.close()
    again = Bench(tmp_path)
    recover_as_somebody_takes(again, "dir")
    assert again.read("dir") == b"somebody's"
    assert list(again.kept().values()) == [b"here alone"]
    assert not again.temporaries()
    again.close()


def test_what_makes_way_for_what_has_not_come_is_in_the_journal(tmp_path: Path) -> None:
    (tmp_path / "box").mkdir()
    disk = Dying(str(tmp_path / "box"))
    bench = Bench(tmp_path, disk)
    bench.apply(bench.make_directory("d"))
    put = replace(bench.put("d", b"new"), expected=None)
    bench.names.clear()

    def die(_: str) -> None:
        raise Died

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(disk, "flush_directory", die)
        with pytest.raises(Died):
            bench.apply(replace(bench.remove("d"), synced=None), put)
    assert not (bench.root / "d").exists()
    bench.close()
    again = Bench(tmp_path)
    finish(again.applier.recover())
    assert again.index.local("d") is None
    assert again.index.synced("d") is None, "it counts as never held"
    again.close()


@pytest.mark.parametrize("edit", [b"as long", b"of another length"])
@pytest.mark.parametrize("was_done", ["content", "mode"])
def test_a_file_written_into_during_the_recovery(
    tmp_path: Path, was_done: str, edit: bytes
) -> None:
    """It keeps its time, and is not taken for what the batch had brought."""
    (tmp_path / "box").mkdir()
    disk = Dying(str(tmp_path / "box"))
    bench = Bench(tmp_path, disk)
    if was_done == "mode":
        bench.apply(bench.put("f", b"content"))
    journal = Forgetful(bench.index)
    bench.applier = Applier(disk, journal, bench.history, bench, bench.capabilities)
    bench.apply(
        bench.put("f", b"content") if was_done == "content" else bench.set_metadata("f", 0o600)
    )
    bench.close()
    disk = Dying(str(tmp_path / "box"))
    again = Bench(tmp_path, disk)
    dress = disk.set_metadata

    def written_into(
        path: str, mode: int | None, mtime_ns: int | None, inode: int | None = None
    ) -> Stat:
        if path == "f":
            again.edit(path, edit)
        return dress(path, mode, mtime_ns, inode)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(disk, "set_metadata", written_into)
        report = finish(again.applier.recover())
    assert report.rescan == ("f",)
    found, local, synced = disk.stat("f"), again.local("f"), again.index.synced("f")
    assert again.read("f") == edit
    assert found is not None
    assert synced is not None
    assert found.mtime_ns != MTIME_NS
    assert (local.mtime_ns, local.size, local.root) == (MTIME_NS, 7, root_of(b"content"))
    assert synced.disk == local, "so that the scan, which finds another time, finds an edit"
    again.close()


def test_a_file_that_came_over_a_directory_is_edited_before_the_recovery(tmp_path: Path) -> None:
    """The directory has no place in the history to go to."""
    (tmp_path / "box").mkdir()
    disk = Dying(str(tmp_path / "box"))
    bench = Bench(tmp_path, disk)
    bench.apply(bench.make_directory("d"))
    operation = bench.put("d", b"new")
    with pytest.MonkeyPatch.context() as patch:

        def die(_: str) -> None:
            raise Died

        patch.setattr(disk, "remove_directory", die)
        with pytest.raises(Died):
            bench.apply(operation)
    bench.edit("d", b"an edit")
    report = finish(bench.applier.recover())
    assert report.rescan == ("d",)
    assert bench.read("d") == b"an edit"
    synced = bench.index.synced("d")
    assert synced is not None and synced.heads == operation.synced_heads
    assert not bench.kept() and not bench.temporaries()
    bench.close()


def test_death_after_names_got_another_case(tmp_path: Path) -> None:
    """To the disk the old name, which is to go, is the new one."""
    bench, disk = folding_bench(tmp_path)
    bench.apply(
        bench.put("readme", b"1"), bench.make_directory("Dir"), bench.put("Dir/below", b"2")
    )
    with pytest.MonkeyPatch.context() as patch:

        def die(_: str) -> None:
            raise Died

        patch.setattr(disk, "flush_directory", die)
        with pytest.raises(Died):
            bench.apply(
                bench.make_directory("dir"),
                bench.put("README", b"1", source="readme"),
                bench.put("dir/below", b"2", source="Dir/below"),
                bench.remove("readme"),
                bench.remove("Dir/below"),
                bench.remove("Dir"),
            )
    finish(bench.applier.recover())
    assert bench.paths() == {"README", "dir", "dir/below"}
    known = bench.index.known_paths(None, 10)
    assert {path for path in known if bench.index.local(path)} == bench.paths()
    assert not bench.kept() and not bench.temporaries()
    bench.close()


def test_what_is_not_permitted_hinders_no_recovery(tmp_path: Path) -> None:
    """Files and folders of somebody else are one problem each, also after a crash."""
    (tmp_path / "box").mkdir()
    disk = RealDisk(str(tmp_path / "box"))
    bench = Bench(tmp_path, disk)
    bench.apply(
        *(bench.put(name, name.encode()) for name in ("theirs", "to rename", "replaced")),
        bench.make_directory("folder"),
        bench.put("folder/old", b"folder/old"),
    )
    operations = (
        bench.set_metadata("theirs", 0o600, 1),
        bench.put("folder/new", b"new"),
        bench.put("replaced", b"replacement"),
        bench.put("renamed", b"to rename", source="to rename", mtime_ns=7),
        bench.remove("to rename"),
        bench.put("moved", b"folder/old", source="folder/old"),
        bench.remove("folder/old"),
    )
    set_metadata, move = disk.set_metadata, disk.move

    def no_metadata(
        path: str, mode: int | None, mtime_ns: int | None, inode: int | None = None
    ) -> Stat:
        if path in ("theirs", "renamed"):
            raise PermissionError(errno.EPERM, "not permitted")
        return set_metadata(path, mode, mtime_ns, inode)

    def no_move(source: str, target: str) -> None:
        if "folder/" in source + target or target.endswith("replaced"):
            raise PermissionError(errno.EACCES, "denied")
        move(source, target)

    def die(_: str) -> None:
        raise Died

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(disk, "set_metadata", no_metadata)
        patch.setattr(disk, "move", no_move)
        with pytest.MonkeyPatch.context() as cut:
            cut.setattr(disk, "flush_directory", die)
            with pytest.raises(Died):
                bench.apply(*operations)
        report = finish(bench.applier.recover())
    assert {"theirs", "folder/new", "replaced", "renamed", "folder/old"} <= set(report.rescan)
    files = {path: bench.read(path) for path in bench.paths() - {"folder"}}
    assert files == {
        "theirs": b"theirs",
        "replaced": b"replaced",
        "renamed": b"to rename",
        "moved": b"folder/old",
        "folder/old": b"folder/old",
    }
    assert not bench.kept()
    assert not [name for name in bench.temporaries() if name.startswith("apply-")]
    bench.close()
