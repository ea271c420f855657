"""Disks that take a time in their own way or refuse the mode, or refuse either after a crash."""

from __future__ import annotations

import errno
import os
from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from flocksy.boxes.apply.applier import Report, Result
from flocksy.boxes.content.staging import Staging
from flocksy.boxes.disk.filesystem import RealDisk
from flocksy.boxes.disk.port import Stat
from flocksy.boxes.planning import Planning
from flocksy.sync.attributes import encode_attributes
from flocksy.sync.capabilities import Capabilities
from flocksy.sync.operations import DiskOperation
from flocksy.sync.version import Kind, Version, version_id
from tests.boxes.bench import MTIME_NS, Bench, finish, root_of
from tests.boxes.disks import Died
from tests.boxes.test_planning import turn

GRAIN_NS = 100
FIRST_NS = 315_532_800_000_000_000


class Coarse(RealDisk):
    """Rounds times down to its grain, as NTFS and SMB do."""

    def set_metadata(
        self, path: str, mode: int | None, mtime_ns: int | None, inode: int | None = None
    ) -> Stat:
        if mtime_ns is not None:
            mtime_ns -= mtime_ns % GRAIN_NS
        return super().set_metadata(path, mode, mtime_ns, inode)


@pytest.fixture
def coarse(tmp_path: Path) -> Iterator[Bench]:
    (tmp_path / "box").mkdir()
    made = Bench(tmp_path, Coarse(str(tmp_path / "box")), Capabilities(mtime_grain_ns=GRAIN_NS))
    yield made
    made.close()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.close()


def refuse_mode(*_: object, **__: object) -> None:
    raise OSError(errno.EPERM, "Operation not permitted")


def die(*_: object) -> None:
    raise Died


def results(report: Report) -> list[Result]:
    return [outcome.result for outcome in report.outcomes]


def test_a_time_within_the_grain_is_not_set_again(
    coarse: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor is the file read once more for it, each time that its mode is refused."""
    coarse.apply(coarse.put("f", b"1"))
    monkeypatch.setattr(os, "chmod", refuse_mode)
    report = coarse.apply(coarse.set_metadata("f", 0o600, 177))
    assert results(report) == [Result.DONE] and report.outcomes[0].problem
    assert coarse.local("f").mtime_ns == 100
    again = coarse.apply(coarse.set_metadata("f", 0o600, 177))
    assert results(again) == [Result.PROBLEM] and not again.rescan
    monkeypatch.undo()
    done = coarse.apply(coarse.set_metadata("f", 0o600, 177))
    assert results(done) == [Result.DONE] and not done.rescan
    renamed = coarse.put("new", b"1", mode=0o600, mtime_ns=177, source="f")
    report = coarse.apply(renamed, coarse.remove("f"))
    assert results(report) == [Result.DONE] * 2 and not report.rescan


@pytest.mark.parametrize("renamed", [False, True])
def test_a_time_that_the_disk_rounded_before_a_crash_is_ours(
    coarse: Bench, monkeypatch: pytest.MonkeyPatch, renamed: bool
) -> None:
    """The scan would take it for somebody's change."""
    coarse.apply(coarse.put("f", b"1"))
    if renamed:
        moved = coarse.put("new", b"1", mode=0o600, mtime_ns=177, source="f")
        batch: list[DiskOperation] = [moved, coarse.remove("f")]
        path, heads = "new", moved.synced_heads
    else:
        change = coarse.set_metadata("f", 0o600, 177)
        batch = [change]
        path, heads = "f", change.synced_heads
    monkeypatch.setattr(coarse.applier, "_read_back", die)
    with pytest.raises(Died):
        coarse.apply(*batch)
    finish(coarse.applier.recover())
    synced, found = coarse.index.synced(path), coarse.disk.stat(path)
    assert found is not None and found.mtime_ns == 100
    assert synced is not None and synced.heads == heads
    assert coarse.capabilities.same(found.entry(root_of(b"1")), synced.disk)


@pytest.mark.parametrize("renamed", [False, True])
def test_an_edit_within_the_grain_before_a_crash_is_looked_at(
    coarse: Bench, monkeypatch: pytest.MonkeyPatch, renamed: bool
) -> None:
    """It shows the time that the version may have shown there."""
    coarse.apply(coarse.put("f", b"1"))
    batch: list[DiskOperation] = [coarse.put("new", b"1", mtime_ns=177)]
    if renamed:
        batch = [coarse.put("new", b"1", mtime_ns=177, source="f"), coarse.remove("f")]
    monkeypatch.setattr(coarse.applier, "_read_back", die)
    with pytest.raises(Died):
        coarse.apply(*batch)
    (coarse.root / "new").write_bytes(b"2")
    os.utime(coarse.root / "new", ns=(200, 200))
    assert "new" in finish(coarse.applier.recover()).rescan


@pytest.mark.parametrize("kind", [Kind.FILE, Kind.DIRECTORY])
def test_what_was_left_open_at_a_crash_is_known_to_be_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: Kind
) -> None:
    """Also where the disk refuses another mode just then: else the scan tells it to all."""
    bench = Bench(tmp_path, None, Capabilities(attributes=True))
    if kind is Kind.FILE:
        bench.apply(bench.put("one", b"1", mode=0o400, attributes=encode_attributes({b"c": b"1"})))
        bench.look_at_attributes()
        change = bench.set_metadata("one", 0o400, attributes=encode_attributes({b"c": b"2"}))
    else:
        bench.apply(bench.make_directory("one", 0o555))
        change = bench.set_metadata("one", 0o500)
    with monkeypatch.context() as cutting:
        cutting.setattr(bench.applier, "_dress", die)
        with pytest.raises(Died):
            bench.apply(change)
    (bench.root / "one").chmod(0o700)

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    if kind is Kind.FILE:
        (bench.root / "one").chmod(0o600)
    with monkeypatch.context() as refusing:
        refusing.setattr(os, "chmod", refuse)
        finish(bench.applier.recover())
    found = bench.disk.stat("one")
    assert found is not None and found.mode == bench.local("one").mode
    synced = bench.index.synced("one")
    assert synced is not None and synced.disk is not None and synced.disk.mode == found.mode
    bench.close()


class Clamping(RealDisk):
    """Takes no time before its own, and says nothing of it."""

    def set_metadata(
        self, path: str, mode: int | None, mtime_ns: int | None, inode: int | None = None
    ) -> Stat:
        if mtime_ns is not None:
            mtime_ns = max(mtime_ns, FIRST_NS)
        return super().set_metadata(path, mode, mtime_ns, inode)


class CountingAnew(RealDisk):
    """Has 32 bits for the seconds since its first, and says nothing of what they cannot hold."""

    def set_metadata(
        self, path: str, mode: int | None, mtime_ns: int | None, inode: int | None = None
    ) -> Stat:
        if mtime_ns is not None:
            mtime_ns = FIRST_NS + (mtime_ns - FIRST_NS) % (10**9 << 32)
        return super().set_metadata(path, mode, mtime_ns, inode)


def tries(
    bench: Bench, planning: Planning, monkeypatch: pytest.MonkeyPatch, words: str
) -> list[float]:
    """When a path, of which these words are to be said, is tried within the next 100 s, with a look
    after each try that finds nothing new there."""
    batches: list[float] = []
    apply = bench.applier.apply

    def noted(operations: Sequence[DiskOperation]) -> Generator[float, None, Report]:
        batches.append(now)
        return apply(operations)

    monkeypatch.setattr(bench.applier, "apply", noted)
    planning.add(("f",))
    now = 0.0
    while now < 100.0:
        planning.turn(now)
        while not planning.free:
            planning._pause_until = now  # a flush takes no time of this clock
            planning.turn(now)
        if planning.rescan:
            bench.look_at_attributes()
        planning.add(planning.rescan)
        planning.rescan.clear()
        if now >= 1.0:
            assert words in planning.problems["f"] and not planning.idle
        now += 0.5
    return batches


@pytest.mark.parametrize("attributes", [b"", encode_attributes({b"c": b"red"})])
@pytest.mark.parametrize("kind", [Coarse, Clamping])
def test_a_mode_that_is_refused_is_tried_again_after_its_pause(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: type[RealDisk], attributes: bytes
) -> None:
    """However the disk takes the time, and although the path is planned after the look that the
    time makes necessary."""
    (tmp_path / "box").mkdir()
    disk = kind(str(tmp_path / "box"))
    grain_ns = GRAIN_NS if kind is Coarse else 1
    bench = Bench(tmp_path, disk, Capabilities(mtime_grain_ns=grain_ns, attributes=True))
    staging = Staging(disk, bench.index.contents)
    planning = Planning(
        bench.index, staging, bench.applier, bench.capabilities, ignore_symlinks=False
    )
    root = root_of(b"1")
    old = Version(Kind.FILE, 0o644, MTIME_NS, 1, root, 1, (), attributes=attributes)
    new = replace(old, mode=0o600, mtime_ns=177, generation=2, parents=(version_id(old),))
    bench.apply(bench.put("f", b"1", attributes=attributes))
    bench.look_at_attributes()
    bench.index.join("f", {version_id(old): old}, {})
    bench.index.join("f", {version_id(new): new}, {version_id(old): old.root})
    monkeypatch.setattr(os, "chmod", refuse_mode)
    times = tries(bench, planning, monkeypatch, "not permitted")
    assert times == [0.0, 5.0, 15.0, 35.0, 75.0]
    monkeypatch.undo()
    planning.add(("f",))
    turn(planning, 1e6)
    assert bench.local("f").mode == 0o600
    assert "not permitted" not in planning.problems.get("f", "")
    staging.close()
    bench.close()


@pytest.mark.parametrize("kind", [Clamping, CountingAnew])
def test_a_time_that_the_disk_shows_otherwise_is_tried_again_after_its_pause(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: type[RealDisk]
) -> None:
    """Where the probe has not seen that: at once, it would be tried for ever."""
    (tmp_path / "box").mkdir()
    disk = kind(str(tmp_path / "box"))
    bench = Bench(tmp_path, disk)
    staging = Staging(disk, bench.index.contents)
    planning = Planning(
        bench.index, staging, bench.applier, bench.capabilities, ignore_symlinks=False
    )
    version = Version(Kind.FILE, 0o644, 177, 1, root_of(b"1"), 1, ())
    bench.apply(bench.put("f", b"1", mtime_ns=177))
    bench.index.join("f", {version_id(version): version}, {})
    times = tries(bench, planning, monkeypatch, "shows another mode or time")
    assert times == [0.0, 5.0, 15.0, 35.0, 75.0]
    later = replace(version, mtime_ns=MTIME_NS, generation=2, parents=(version_id(version),))
    bench.index.join("f", {version_id(later): later}, {version_id(version): version.root})
    planning.add(("f",))
    turn(planning, 1e6)
    assert bench.local("f").mtime_ns == MTIME_NS and not planning.problems and planning.idle
    staging.close()
    bench.close()


@pytest.mark.parametrize("call", ["chmod", "utime"])
@pytest.mark.parametrize("number", [errno.EOPNOTSUPP, errno.EINVAL, errno.EOVERFLOW, errno.EPERM])
@pytest.mark.parametrize("renamed", [False, True])
def test_a_box_opens_whatever_its_disk_refuses_after_a_crash(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, renamed: bool, number: int, call: str
) -> None:
    """Nothing was set: it is planned once more, and then said."""
    bench.apply(bench.put("f", b"1"))
    path = "new" if renamed else "f"
    mode, mtime_ns = (0o600, MTIME_NS) if call == "chmod" else (0o644, 77)
    if renamed:
        moved = bench.put("new", b"1", mode=mode, mtime_ns=mtime_ns, source="f")
        batch: list[DiskOperation] = [moved, bench.remove("f")]
    else:
        batch = [bench.set_metadata("f", mode, mtime_ns)]

    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as cutting:
        cutting.setattr(bench.applier, "_dress", die)
        with pytest.raises(Died):
            bench.apply(*batch)
    with monkeypatch.context() as refusing:
        refusing.setattr(os, call, refuse)
        finish(bench.applier.recover())
    found, synced = bench.disk.stat(path), bench.index.synced(path)
    assert found is not None and synced is not None
    assert found.entry(root_of(b"1")) == bench.local(path) == synced.disk
    assert (found.mode, found.mtime_ns) == (0o644, MTIME_NS)
    assert results(bench.apply(bench.set_metadata(path, mode, mtime_ns))) == [Result.DONE]
