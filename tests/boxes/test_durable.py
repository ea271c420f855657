"""What a look has found is durable before anybody hears of it."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from flocksy.boxes.disk.filesystem import RealDisk
from flocksy.boxes.disk.port import Disk
from flocksy.boxes.scan import scanner
from flocksy.boxes.scan.durable import FLUSH_SINGLY, made_durable
from flocksy.boxes.scan.findings import Busy, Finding, Gone, Seen, Unreadable
from flocksy.boxes.scan.following import FollowingDisk
from flocksy.boxes.scan.scanner import Job, ScanReport, ScanRequest
from flocksy.index.store import BoxIndex

MANY = FLUSH_SINGLY + 1


class Flushes(RealDisk):
    """Keeps what it was asked to flush, and may fail at that."""

    def __init__(self, root: str) -> None:
        super().__init__(root)
        self.asked: list[tuple[str, str]] = []
        self.fails: dict[tuple[str, str], int] = {}
        self.has_syncfs = True

    def _asked(self, what: str, path: str) -> None:
        self.asked.append((what, path))
        number = self.fails.get((what, path))
        if number is not None:
            raise OSError(number, os.strerror(number), path)

    def flush_file(self, path: str) -> None:
        self._asked("file", path)
        super().flush_file(path)

    def flush_directory(self, path: str) -> None:
        self._asked("names", path)
        super().flush_directory(path)

    def flush_around(self, path: str) -> bool:
        self._asked("around", path)
        return self.has_syncfs and super().flush_around(path)

    def flush_all(self) -> bool:
        self._asked("all", "")
        return self.has_syncfs


class Bench:
    """A box with an index, and looks at it."""

    def __init__(self, place: Path) -> None:
        self.box = place / "box"
        (self.box / ".flocksy").mkdir(parents=True)
        self.index = BoxIndex.open(place / "index.sqlite")
        self.disks: list[Flushes] = []
        self.prepare: Callable[[Flushes], None] = lambda _: None

    def open(self, root: str) -> Flushes:
        disk = Flushes(root)
        self.prepare(disk)
        self.disks.append(disk)
        return disk

    def look(self) -> Sequence[Finding]:
        """All findings of a look, which the index has then."""
        index = str(self.index.path)
        job, found = Job(ScanRequest(1, "box", str(self.box), index, None)), list[Finding]()
        while True:
            report = stepped(job)
            found += report.findings
            if report.last:
                break
        for one in found:
            if isinstance(one, Seen):
                self.index.set_local(one.path, one.entry, settled=False)
            elif isinstance(one, Gone):
                self.index.set_local(one.path, None)
        return found

    def asked(self) -> list[tuple[str, str]]:
        """What was flushed in all looks since the last question."""
        asked = [one for disk in self.disks for one in disk.asked]
        self.disks.clear()
        return asked


def stepped(job: Job) -> ScanReport:
    until_s = time.monotonic() + 30.0
    while (report := job.step()) is None:
        assert time.monotonic() < until_s
        time.sleep(job.wait_s(time.monotonic()))
    return report


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    made = Bench(tmp_path)
    monkeypatch.setattr(scanner, "RealDisk", made.open)
    yield made
    made.index.close()


def test_a_file_its_name_and_its_folder_are_flushed_before_the_report(bench: Bench) -> None:
    (bench.box / "d").mkdir()
    (bench.box / "d/f").write_bytes(b"1")
    index = str(bench.index.path)
    job = Job(ScanRequest(1, "box", str(bench.box), index, None))
    stepped(job)
    asked = bench.asked()
    assert sorted(set(asked)) == [("file", "d/f"), ("names", ""), ("names", "d")]
    assert len(set(asked)) == len(asked), "each once"


def test_nothing_is_flushed_where_nothing_is_new(bench: Bench) -> None:
    (bench.box / "f").write_bytes(b"1")
    (seen,) = bench.look()
    assert isinstance(seen, Seen)
    bench.index.set_local("f", seen.entry)
    bench.asked()
    assert bench.look() == []
    assert bench.asked() == []


@pytest.mark.parametrize(
    "hands",
    [
        lambda box: (box / "f").write_bytes(b"22"),
        lambda box: (box / "f").chmod(0o600),
        lambda box: os.utime(box / "f", ns=(1, 1)),
    ],
    ids=["written", "mode", "time"],
)
def test_whatever_has_changed_of_a_file(bench: Bench, hands: Callable[[Path], None]) -> None:
    (bench.box / "f").write_bytes(b"1")
    bench.look()
    bench.asked()
    hands(bench.box)
    bench.look()
    assert ("file", "f") in bench.asked()


def test_a_rename_is_flushed_at_both_its_ends(bench: Bench) -> None:
    (bench.box / "from").mkdir()
    (bench.box / "to").mkdir()
    (bench.box / "from/f").write_bytes(b"1")
    bench.look()
    bench.asked()
    (bench.box / "from/f").rename(bench.box / "to/f")
    bench.look()
    assert {("names", "from"), ("names", "to")} <= set(bench.asked())


def test_what_went_with_its_folder_went_from_the_one_above(bench: Bench) -> None:
    (bench.box / "a/b").mkdir(parents=True)
    (bench.box / "a/b/f").write_bytes(b"1")
    bench.look()
    bench.asked()
    (bench.box / "a/b/f").unlink()
    (bench.box / "a/b").rmdir()
    bench.look()
    assert ("names", "a") in bench.asked()


def test_links_are_names_alone(bench: Bench) -> None:
    (bench.box / "link").symlink_to("anywhere")
    assert len(bench.look()) == 1
    assert bench.asked() == [("names", "")]


def test_many_are_flushed_together(bench: Bench) -> None:
    for number in range(MANY):
        (bench.box / f"f{number}").write_bytes(b"%d" % number)
    assert len(bench.look()) == MANY
    ((what, _),) = bench.asked()
    assert what == "around"


def test_many_that_went_are_flushed_together(bench: Bench) -> None:
    (bench.box / "d").mkdir()
    for number in range(MANY):
        (bench.box / f"d/f{number}").write_bytes(b"%d" % number)
    bench.look()
    bench.asked()
    for number in range(MANY):
        (bench.box / f"d/f{number}").unlink()
    (bench.box / "d").rmdir()
    bench.look()
    assert bench.asked() == [("around", "")]


def test_each_by_itself_where_there_is_no_other_call(bench: Bench) -> None:
    def prepare(disk: Flushes) -> None:
        disk.has_syncfs = False

    bench.prepare = prepare
    for number in range(MANY):
        (bench.box / f"f{number}").write_bytes(b"%d" % number)
    bench.look()
    asked = bench.asked()
    assert {("file", f"f{number}") for number in range(MANY)} < set(asked)
    assert asked.count(("names", "")) == 1


@pytest.mark.parametrize("many", [False, True])
def test_what_the_disk_cannot_keep_cannot_be_read(bench: Bench, many: bool) -> None:
    names = [f"f{number}" for number in range(MANY if many else 2)]
    for name in names:
        (bench.box / name).write_text(name)

    def fail(disk: Flushes) -> None:
        disk.fails = {("file", "f1"): errno.EIO}
        disk.fails |= {("around", name): errno.EIO for name in names}

    bench.prepare = fail
    found = {one.path: one for one in bench.look()}
    bad = found.pop("f1")
    assert isinstance(bad, Unreadable) and bad.again
    assert "is not safe on its disk" in bad.reason
    assert len(found) == len(names) - 1
    assert all(isinstance(one, Seen) for one in found.values())
    bench.prepare = lambda _: None
    assert any(isinstance(one, Seen) and one.path == "f1" for one in bench.look())


def test_a_folder_that_cannot_be_kept_names_nothing(bench: Bench) -> None:
    (bench.box / "d").mkdir()
    (bench.box / "d/f").write_bytes(b"1")

    def fail(disk: Flushes) -> None:
        disk.fails = {("names", "d"): errno.EIO}

    bench.prepare = fail
    found = bench.look()
    assert [type(one) for one in found] == [Unreadable] * 2
    assert bench.asked().count(("names", "d")) == 1


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOTSUP, errno.EROFS])
def test_what_has_no_flush_is_durable(bench: Bench, number: int) -> None:
    (bench.box / "f").write_bytes(b"1")

    def fail(disk: Flushes) -> None:
        disk.fails = {("file", "f"): number, ("names", ""): number}

    bench.prepare = fail
    (found,) = bench.look()
    assert isinstance(found, Seen)


@pytest.mark.parametrize("has_syncfs", [False, True])
def test_what_is_closed_to_ourselves_is_flushed_with_all(bench: Bench, has_syncfs: bool) -> None:
    (bench.box / "d").mkdir()

    def fail(disk: Flushes) -> None:
        disk.fails, disk.has_syncfs = {("names", "d"): errno.EACCES}, has_syncfs

    bench.prepare = fail
    (found,) = bench.look()
    assert isinstance(found, Seen)
    assert ("all", "") in bench.asked()


def test_what_is_gone_before_its_flush_is_left_to_the_next_look(bench: Bench) -> None:
    (bench.box / "f").write_bytes(b"1")
    disk = Flushes(str(bench.box))
    (found,) = bench.look()
    (bench.box / "f").unlink()
    busy = Busy("other", 0.0)
    assert flushed(disk, [found, busy]) == [found, busy]
    assert disk.asked == [("file", "f"), ("names", "")]
    disk.close()


def flushed(disk: Disk, findings: Sequence[Finding]) -> Sequence[Finding]:
    steps = made_durable(disk, findings)
    while True:
        try:
            time.sleep(next(steps))
        except StopIteration as stop:
            assert isinstance(stop.value, list)
            return stop.value


class Leads:
    """One link that is followed."""

    def __init__(self, target: Path) -> None:
        self._target = target

    def link_above(self, path: str) -> str | None:
        return "link" if path.split("/")[0] == "link" else None

    def real(self, link: str) -> str:
        assert link == "link"
        return str(self._target)


@pytest.mark.parametrize("many", [False, True])
def test_what_shows_through_a_link_is_flushed_where_it_lies(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, many: bool
) -> None:
    names = [f"link/f{number}" for number in range(MANY if many else 1)]
    target = tmp_path / "target"
    target.mkdir()
    (bench.box / "link").symlink_to(target)
    disk = FollowingDisk(bench.open(str(bench.box)), Leads(target))
    everything = bench.open("/")
    monkeypatch.setattr(disk, "_everything", everything)
    findings = list[Finding]()
    for name in names:
        (tmp_path / "target" / name[5:]).write_text(name)
        found = disk.stat(name)
        assert found is not None
        findings.append(Seen(name, found.entry(b"r" * 32)))
    assert list(flushed(disk, findings)) == findings
    there = str(target).removeprefix("/")
    if many:
        assert everything.asked == [("around", f"{there}/f{MANY - 1}")]
    else:
        assert everything.asked == [("file", f"{there}/f0"), ("names", there)]
    disk.close()


def test_who_forgets_a_look_waits_for_its_flush(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has handles of the box in hands, and a drive is only let go without them."""
    ended: list[str] = []

    def slow(disk: Flushes, path: str) -> None:
        while not disk.asked:
            disk.asked.append(("began", path))
        ended.append(path)

    monkeypatch.setattr(Flushes, "flush_file", slow)
    (bench.box / "f").write_bytes(b"1")
    index = str(bench.index.path)
    job = Job(ScanRequest(1, "box", str(bench.box), index, None))
    while job._flush is None:
        assert job.step() is None
    job.close()
    assert ended == ["f"]
    assert bench.disks[0]._root_fd < 0
