"""The real disk behind the port: nothing follows a link, nothing leaves the box."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from flocksy.boxes.disk.filesystem import RealDisk
from flocksy.errors import BoxError
from flocksy.sync.version import Kind


class Walking(RealDisk):
    """Without openat2."""

    def __init__(self, root: str) -> None:
        super().__init__(root)
        self._openat2 = False


class Poor(Walking):
    """Also without renames that exchange or do not replace."""

    def __init__(self, root: str) -> None:
        super().__init__(root)
        self._exchange = self._noreplace = False


@pytest.fixture(params=[RealDisk, Walking, Poor])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RealDisk]:
    root = tmp_path / "box"
    root.mkdir()
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "f").write_bytes(b"not ours")
    with request.param(str(root)) as disk:
        yield disk


def box(disk: RealDisk) -> Path:
    return Path(disk.root)


def write(disk: RealDisk, path: str, data: bytes) -> None:
    descriptor = disk.create(path)
    os.write(descriptor, data)
    os.close(descriptor)


def read(disk: RealDisk, path: str) -> bytes:
    descriptor = disk.open_read(path)
    try:
        return os.read(descriptor, 1 << 20)
    finally:
        os.close(descriptor)


def test_sees_what_is_there(disk: RealDisk) -> None:
    disk.make_directory("d", 0o755)
    write(disk, "d/f", b"12345")
    disk.make_symlink("d/l", "text")
    os.mkfifo(box(disk) / "d/p")
    found = dict(disk.scan("d"))
    assert {name: entry.kind for name, entry in found.items()} == {
        "f": Kind.FILE,
        "l": Kind.SYMLINK,
        "p": None,
    }
    assert found["f"] == disk.stat("d/f")
    assert found["f"].size == 5
    assert disk.read_link("d/l") == "text"
    top = disk.stat("")
    assert top is not None and top.kind is Kind.DIRECTORY
    assert disk.stat("missing") is None
    assert disk.stat("missing/below") is None
    assert disk.stat("d/f/below a file") is None


def test_names_that_are_no_text(disk: RealDisk) -> None:
    name = os.fsdecode(b"caf\xe9 \xf0\x9f\x90\xa6")
    write(disk, name, b"1")
    assert [found for found, _ in disk.scan("")] == [name]
    assert read(disk, name) == b"1"


def test_no_path_leads_out(disk: RealDisk, tmp_path: Path) -> None:
    """Whatever is asked of a path with a link in it, nothing outside is seen or changed."""
    (box(disk) / "link").symlink_to("../outside")
    (box(disk) / "d").mkdir()
    (box(disk) / "d/link").symlink_to(tmp_path / "outside")
    (box(disk) / "file link").symlink_to("../outside/f")
    write(disk, "mine", b"mine")
    for through in ("link", "d/link", "..", "d/..", "/"):
        asks: list[Callable[[str], object]] = [
            disk.open_read,
            lambda path: disk.set_metadata(path, 0o600, 0),
            lambda path: disk.move("mine", path),
            lambda path: disk.move(path, "stolen"),
            lambda path: disk.exchange("mine", path),
            lambda path: disk.link(path, "linked"),
            disk.remove_file,
            disk.flush_file,
        ]
        for ask in asks:
            with pytest.raises(OSError):
                ask(f"{through}/f")
        for ask in (disk.create, lambda path: disk.make_directory(path, 0o755), disk.scan):
            with pytest.raises(OSError):
                ask(f"{through}/new")
    with pytest.raises(OSError):
        disk.open_read("file link")
    with pytest.raises(OSError):
        disk.set_metadata("file link", 0o600, 0)
    with pytest.raises(OSError):
        disk.scan("link")
    assert disk.stat("link/f") is None
    outside = tmp_path / "outside"
    assert os.listdir(outside) == ["f"]
    assert (outside / "f").read_bytes() == b"not ours"
    assert stat.S_IMODE((outside / "f").stat().st_mode) == 0o644
    assert read(disk, "mine") == b"mine"


def test_a_fifo_does_not_hang(disk: RealDisk) -> None:
    os.mkfifo(box(disk) / "p")
    with pytest.raises(OSError, match="regular"):
        disk.open_read("p")
    with pytest.raises(OSError):
        disk.set_metadata("p", 0o600, None)


def test_move_replaces_nothing(disk: RealDisk) -> None:
    write(disk, "a", b"a")
    write(disk, "b", b"b")
    disk.make_directory("d", 0o755)
    for target in ("b", "d"):
        with pytest.raises(FileExistsError):
            disk.move("a", target)
    with pytest.raises(FileNotFoundError):
        disk.move("missing", "c")
    with pytest.raises(FileNotFoundError):
        disk.move("a", "missing/c")
    disk.move("a", "d/c")
    assert read(disk, "d/c") == b"a"
    assert disk.stat("a") is None
    disk.move("d", "e")
    assert read(disk, "e/c") == b"a"


def test_exchange(disk: RealDisk) -> None:
    write(disk, "t", b"new")
    write(disk, "f", b"old")
    disk.make_directory("d", 0o755)
    disk.exchange("t", "f")
    assert (read(disk, "f"), read(disk, "t")) == (b"new", b"old")
    disk.exchange("t", "d")
    assert read(disk, "d") == b"old"
    found = disk.stat("t")
    assert found is not None and found.kind is Kind.DIRECTORY
    with pytest.raises(FileNotFoundError):
        disk.exchange("t", "missing")
    with pytest.raises(FileNotFoundError):
        disk.exchange("missing", "f")
    assert read(disk, "f") == b"new"
    assert not [name for name, _ in disk.scan("") if name.endswith(".out")]


def test_an_exchange_cut_in_its_middle_is_undone(disk: RealDisk) -> None:
    write(disk, "t", b"new")
    write(disk, "t.out", b"old")
    disk.settle("t", "f")
    assert (read(disk, "f"), read(disk, "t")) == (b"old", b"new")
    write(disk, "u.out", b"old 2")
    disk.settle("u", "f")
    assert read(disk, "u") == b"old 2"
    disk.settle("u", "f")


@pytest.mark.parametrize("cut", ["taken", "put", "done"])
def test_an_exchange_cut_within_one_of_its_moves(disk: RealDisk, cut: str) -> None:
    """Where a move is a link and the removal of the old name. Nothing has two names afterwards."""
    here, out = box(disk) / "t", box(disk) / "t.out"
    if cut == "taken":
        write(disk, "t", b"new")
        write(disk, "f", b"old")
        os.link(box(disk) / "f", out)
    elif cut == "put":
        write(disk, "f", b"new")
        write(disk, "t.out", b"old")
        os.link(box(disk) / "f", here)
    else:
        write(disk, "f", b"new")
        write(disk, "t", b"old")
        os.link(here, out)
    parked = disk.settle("t", "f")
    if cut == "put":
        # It cannot go back. That the temporary is the file at the path is seen by the recovery.
        assert parked == "t.out"
        assert (read(disk, "f"), read(disk, "t"), read(disk, "t.out")) == (b"new", b"new", b"old")
        return
    assert parked is None and not out.exists()
    there = (b"old", b"new") if cut != "done" else (b"new", b"old")
    assert (read(disk, "f"), read(disk, "t")) == there
    assert os.stat(box(disk) / "f").st_nlink == os.stat(here).st_nlink == 1


def test_metadata(disk: RealDisk) -> None:
    write(disk, "f", b"1")
    found = disk.set_metadata("f", 0o7751, 1_234_567_891)
    assert (found.mode, found.mtime_ns) == (0o751, 1_234_567_891)
    assert found == disk.stat("f")
    assert stat.S_IMODE(os.stat(box(disk) / "f").st_mode) == 0o751
    assert disk.set_metadata("f", None, 5).mode == 0o751
    disk.make_directory("d", 0o700)
    assert disk.set_metadata("d", 0o500, None).mode == 0o500


def test_the_bits_that_no_version_says_stay_until_the_mode_changes(disk: RealDisk) -> None:
    """Of a directory also then, as with chmod(1): it may be that of a group."""

    def mode_of(path: str) -> int:
        return stat.S_IMODE(os.stat(box(disk) / path).st_mode)

    write(disk, "f", b"1")
    disk.make_directory("d", 0o700)
    os.chmod(box(disk) / "f", 0o4755)
    os.chmod(box(disk) / "d", 0o3555)
    disk.set_metadata("f", 0o755, 5)
    disk.set_metadata("d", 0o755, None)
    assert (mode_of("f"), mode_of("d")) == (0o4755, 0o3755)
    disk.set_metadata("f", 0o700, None)
    disk.set_metadata("d", 0o555, None)
    assert (mode_of("f"), mode_of("d")) == (0o700, 0o3555)


def test_copy_and_link(disk: RealDisk) -> None:
    data = os.urandom(3 << 20)
    (box(disk) / "big").write_bytes(data)
    assert sum(1 for _ in disk.copy("big", "copy")) == 3
    assert (box(disk) / "copy").read_bytes() == data
    assert disk.link("big", "second")
    assert os.stat(box(disk) / "second").st_nlink == 2
    with pytest.raises(FileExistsError):
        disk.link("big", "copy")


def test_flushes_and_numbers(disk: RealDisk) -> None:
    write(disk, "f", b"1")
    disk.flush_file("f")
    disk.flush_directory("")
    disk.flush_all()
    free, whole = disk.space()
    assert 0 < free <= whole
    assert 0 < disk.identity() < 1 << 63
    assert isinstance(disk.type_name(), str)


def test_handles_do_not_leak(disk: RealDisk) -> None:
    disk.make_directory("a", 0o755)
    disk.make_directory("a/b", 0o755)
    write(disk, "a/b/f", b"1")
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        disk.stat("a/b/f")
        disk.scan("a/b")
        read(disk, "a/b/f")
        disk.stat("a/b/f/x/y")
        with pytest.raises(OSError):
            disk.open_read("a/b")
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("what", ["missing", "file"])
def test_a_box_has_to_be_a_directory(tmp_path: Path, what: str) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(BoxError, match=what):
        RealDisk(str(tmp_path / what))
