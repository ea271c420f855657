"""What is kept, for how long, and what goes first."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from flocksy.boxes.apply import dates
from flocksy.boxes.apply.history import FOLDER, NAME_BYTES, History, Pruned, kept_ms
from flocksy.boxes.apply.placing import make_folders
from flocksy.boxes.disk.filesystem import RealDisk
from flocksy.boxes.disk.port import Stat
from tests.boxes.bench import NOW_MS, finish

DAY_MS = 24 * 3600 * 1000


class Place:
    """A history whose clock is turned by hand."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.disk = RealDisk(str(root))
        make_folders(self.disk)
        self.now_ms = NOW_MS
        self.set_ms = 0
        """How far the wall clock was set on."""
        self.start()

    def start(self) -> None:
        """The box is opened; the wall clock may have been set before."""
        self.history = History(
            self.disk,
            lambda: self.now_ms,
            cap_bytes=100,
            elapsed_ms=lambda: self.now_ms - self.set_ms,
        )

    def set_clock(self, moved_ms: int) -> None:
        self.now_ms += moved_ms
        self.set_ms += moved_ms

    def keep(self, path: str, size: int = 10) -> str:
        place = self.history.reserve(path)
        (self.root / place).write_bytes(b"x" * size)
        found = self.disk.stat(place)
        assert found is not None
        return self.history.row(place, path, found, b"r" * 32).name

    def prune(self) -> Pruned:
        return finish(self.history.prune())

    def names(self) -> set[str]:
        folder = self.root / FOLDER
        return {str(path.relative_to(folder)) for path in folder.glob("*/*")}


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    place = Place(tmp_path)
    yield place
    place.disk.close()


@pytest.mark.parametrize("longest", [143, 20, 14])
def test_a_disk_of_short_names_holds_what_is_kept(tmp_path: Path, longest: int) -> None:
    """eCryptfs, for one: what could not be kept could neither be replaced nor deleted."""
    with RealDisk(str(tmp_path)) as disk:
        make_folders(disk)
        history = History(disk, lambda: NOW_MS, longest_name=longest)
        for path in ("d/" + "n" * (longest - 4) + ".txt", "d/" + "\u00fc" * (longest // 2), "d/f"):
            for _ in range(20):
                name = history.reserve(path).rpartition("/")[2]
                assert kept_ms(name) == NOW_MS
                assert len(os.fsencode(name)) <= max(longest, 15)
        assert longest < 143 or history.reserve("f.txt").endswith("-f.txt")


def test_names_say_when_and_what(place: Place) -> None:
    name = place.keep("d/report.txt")
    assert name.startswith("2026-09-21/")
    assert name.endswith("-report.txt")
    assert kept_ms(name) == NOW_MS


def test_a_day_that_cannot_be_listed_or_emptied_holds_up_nothing(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = []
    for _ in range(3):
        names.append(place.keep("f"))
        place.now_ms += DAY_MS
    sick, stuck, well = names
    scan, remove = place.disk.scan, place.disk.remove_file

    def scan_day(path: str) -> list[tuple[str, Stat]]:
        if path == f"{FOLDER}/{sick.partition('/')[0]}":
            raise OSError(errno.EIO, "Input/output error")
        return scan(path)

    def remove_one(path: str) -> None:
        if path == f"{FOLDER}/{stuck}":
            raise PermissionError(errno.EACCES, "Permission denied")
        remove(path)

    monkeypatch.setattr(place.disk, "scan", scan_day)
    monkeypatch.setattr(place.disk, "remove_file", remove_one)
    place.now_ms += 365 * DAY_MS
    pruned = place.prune()
    assert pruned.removed == (well,) and pruned.bytes == 10
    assert place.names() == {sick, stuck}


def test_the_same_path_twice_in_one_instant(place: Place) -> None:
    assert place.keep("a") != place.keep("a")
    again = History(place.disk, lambda: place.now_ms)
    assert again.reserve("a").removeprefix(FOLDER + "/") not in place.names()


def test_long_names_keep_their_end(place: Place) -> None:
    name = place.keep("ü" * 120 + ".txt")
    assert name.endswith("ü.txt")
    assert len(os.fsencode(name.rpartition("/")[2])) <= 255
    assert len(os.fsencode(name)) > NAME_BYTES


def test_thirty_days(place: Place) -> None:
    old = place.keep("old")
    place.now_ms += 20 * DAY_MS
    young = place.keep("young")
    assert place.prune().removed == ()
    place.now_ms += 11 * DAY_MS
    assert place.prune() == Pruned((old,), 10, full=False)
    assert place.names() == {young}
    assert len(os.listdir(place.root / FOLDER)) == 1


def test_the_cap_takes_the_oldest_first(place: Place) -> None:
    names = []
    for _ in range(20):
        names.append(place.keep("f"))
        place.now_ms += DAY_MS
    assert place.prune() == Pruned(tuple(names[:10]), 100, full=False)
    assert place.names() == set(names[10:])
    assert not place.history.crowded


def test_the_last_seven_days_are_never_touched(place: Place) -> None:
    names = {place.keep("f", 50) for _ in range(5)}
    place.now_ms += 6 * DAY_MS
    assert place.prune() == Pruned((), 250, full=True)
    assert place.names() == names
    assert place.history.crowded
    place.now_ms += 2 * DAY_MS
    pruned = place.prune()
    assert not pruned.full
    assert len(pruned.removed) == 3


def pass_days(place: Place, days: float) -> None:
    place.now_ms += int(days * DAY_MS)


def test_a_clock_that_is_put_forward_ages_nothing(place: Place) -> None:
    """As where a machine has no battery for it: what it caught up with before is as young."""
    before = place.keep("before", 200)
    pass_days(place, 0.1)
    place.set_clock(40 * DAY_MS)
    assert place.prune() == Pruned((), 200, full=True)
    after = place.keep("after")
    pass_days(place, 6)
    place.start()
    pass_days(place, 0.5)
    assert place.prune() == Pruned((), 210, full=True)
    pass_days(place, 0.6)
    assert place.prune() == Pruned((before,), 10, full=False), "full for good"
    pass_days(place, 29)
    assert place.prune().removed == (after,)
    assert os.listdir(place.root / FOLDER) == [], "a note that is of no use any more"


def test_a_step_that_only_the_look_saw_outlives_the_process(place: Place) -> None:
    before = place.keep("before")
    place.set_clock(40 * DAY_MS)
    place.history.look_at_clock()
    place.start()
    pass_days(place, 1)
    assert place.prune().removed == ()
    pass_days(place, 30)
    assert place.prune().removed == (before,)


def test_a_machine_that_always_starts_behind_thins_out_all_the_same(place: Place) -> None:
    """On for two days, off for five, and its clock stands meanwhile."""
    kept = []
    for _ in range(20):
        kept.append(place.keep("f", 30))
        pass_days(place, 0.01)
        place.set_clock(5 * DAY_MS)
        place.history.look_at_clock()
        pass_days(place, 1)
        pruned = place.prune()
        assert not set(kept[-3:]) & set(pruned.removed), "on for less than seven days"
        pass_days(place, 1)
        place.start()
    assert place.names() <= set(kept[-5:])
    assert len(list((place.root / FOLDER).glob("clock-*"))) < 20


def test_a_clock_that_is_set_wrong_and_right_again(place: Place) -> None:
    young = place.keep("young", 60)
    pass_days(place, 1)
    place.set_clock(1000 * DAY_MS)
    assert place.prune().removed == ()
    wrong = place.keep("wrong", 60)
    pass_days(place, 1)
    place.set_clock(-1000 * DAY_MS)
    assert place.prune() == Pruned((), 120, full=True)
    pass_days(place, 4)
    assert place.prune().full
    pass_days(place, 8)
    assert not place.prune().full, "full for 1000 days"
    pass_days(place, 31)
    place.prune()
    assert place.names() == set(), (young, wrong)


@pytest.mark.parametrize("years", [-20, 2, 20])
def test_a_clock_that_is_far_off_at_the_start_takes_nothing(place: Place, years: int) -> None:
    names = {place.keep(f"f{number}", 40) for number in range(3)}
    place.now_ms += 2 * DAY_MS
    place.set_clock(years * 365 * DAY_MS)
    place.start()
    assert place.prune() == Pruned((), 120, full=True)
    pass_days(place, 0.01)
    place.set_clock(-years * 365 * DAY_MS)
    place.history.look_at_clock()
    pass_days(place, 0.1)
    assert place.prune() == Pruned((), 120, full=True)
    assert place.names() == names
    pass_days(place, 7)
    assert len(place.prune().removed) == 1


def test_where_all_is_old_at_the_start_it_goes_a_little_later(place: Place) -> None:
    """After weeks away, with a clock that is right."""
    names = [place.keep("f"), place.keep("g")]
    pass_days(place, 60)
    place.start()
    assert place.prune().removed == () and place.history.expired_ms is not None
    assert place.history.expired_ms <= NOW_MS
    pass_days(place, 0.1)
    assert place.prune().removed == tuple(sorted(names))


def test_right_after_the_start_what_is_old_by_the_newest_goes(place: Place) -> None:
    old = place.keep("old")
    pass_days(place, 31)
    young = place.keep("young")
    pass_days(place, 0.1)
    place.start()
    assert place.prune().removed == (old,) and place.names() == {young}


def test_what_an_earlier_run_dated_in_the_future_is_old_some_day(place: Place) -> None:
    place.set_clock(1000 * DAY_MS)
    place.start()
    ahead = place.keep("ahead", 200)
    place.set_clock(-1000 * DAY_MS)
    place.start()
    pass_days(place, 1)
    assert place.prune() == Pruned((), 200, full=True)
    pass_days(place, 6)
    assert place.prune().full
    pass_days(place, 2)
    assert place.prune() == Pruned((ahead,), 0, full=False)


def test_a_clock_that_is_set_all_the_time(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dates, "MAX_NOTES", 3)
    kept = place.keep("f", 200)
    for _ in range(9):
        place.set_clock(10 * DAY_MS)
        assert place.prune() == Pruned((), 200, full=True)
        pass_days(place, 0.1)
        assert place.prune() == Pruned((), 200, full=True)
    assert len(list((place.root / FOLDER).glob("clock-*"))) <= 3
    pass_days(place, 7.1)
    assert place.prune() == Pruned((kept,), 0, full=False)


def test_far_ahead_at_the_start_what_is_kept_then_makes_nothing_older(place: Place) -> None:
    """Nor does it where the clock is set wrong meanwhile: for half an hour it may be put right."""
    young = {place.keep(f"f{number}", 40) for number in range(3)}
    pass_days(place, 2)
    place.set_clock(3650 * DAY_MS)
    place.start()
    place.keep("g", 40)
    assert place.prune() == Pruned((), 160, full=True)
    place.set_clock(-3650 * DAY_MS)
    pass_days(place, 1)
    assert place.prune() == Pruned((), 160, full=True)
    place.set_clock(3650 * DAY_MS)
    place.keep("h", 40)
    assert place.prune() == Pruned((), 200, full=True)
    assert place.names() > young


@pytest.mark.parametrize("apart", [10, 40])
@pytest.mark.parametrize("after_days", [0.001, 3])
def test_who_sets_the_clock_wrong_for_days_loses_nothing(place: Place, after_days: float) -> None:
    young = {place.keep(f"f{number}", 40) for number in range(3)}
    pass_days(place, 3)
    place.start()
    pass_days(place, after_days)
    place.set_clock(365 * DAY_MS)
    place.history.look_at_clock()
    pass_days(place, 0.5)
    if after_days > 1:
        assert place.prune() == Pruned((), 120, full=True)
    place.set_clock(-365 * DAY_MS)
    assert place.prune() == Pruned((), 120, full=True)
    assert place.names() == young
    pass_days(place, 7.1)
    assert not place.prune().full


def test_a_clock_that_starts_at_one_time_again_and_again(place: Place, apart: int) -> None:
    """A machine whose battery is dead, and each time somebody sets its clock."""
    for boot in range(3):
        place.set_clock(-(place.now_ms - NOW_MS))
        place.start()
        kept = place.keep(f"f{boot}", 90)
        pass_days(place, 0.01)
        place.set_clock((boot + 1) * apart * DAY_MS)
        pass_days(place, 0.1)
        assert kept not in place.prune().removed
        pass_days(place, 1)
        assert kept not in place.prune().removed


def test_a_clock_that_stands_while_the_machine_is_off(place: Place) -> None:
    """On for an hour a day, and put right some time after each start."""
    kept = []
    for _ in range(300):
        place.start()
        kept.append(place.keep("f", 30))
        pass_days(place, 0.01)
        place.set_clock(int(0.96 * DAY_MS))
        pass_days(place, 0.03)
        pruned = place.prune()
        assert not set(kept[-7:]) & set(pruned.removed), "less than seven days old"
        assert len(list((place.root / FOLDER).glob("clock-*"))) <= dates.MAX_NOTES
    assert len(place.names()) < 40, "full for good"


def test_a_note_that_cannot_be_written_is_tried_again(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: str) -> int:
        raise OSError(errno.ENOSPC, "no space left", path)

    kept = place.keep("f")
    place.set_clock(40 * DAY_MS)
    with monkeypatch.context() as patched:
        patched.setattr(place.disk, "create", full)
        place.history.look_at_clock()
    assert not list((place.root / FOLDER).glob("clock-*"))
    place.history.look_at_clock()
    assert list((place.root / FOLDER).glob("clock-*"))
    place.start()
    pass_days(place, 1)
    assert place.prune().removed == () and place.names() == {kept}


def test_how_far_back_it_goes_is_known_while_the_clock_is_believed(place: Place) -> None:
    assert place.history.expired_ms is None
    place.prune()
    assert place.history.expired_ms is None
    place.keep("f")
    pass_days(place, 0.001)
    place.start()
    place.prune()
    assert place.history.expired_ms == NOW_MS - 30 * DAY_MS
    pass_days(place, 1)
    place.set_clock(40 * DAY_MS)
    place.prune()
    assert place.history.expired_ms == NOW_MS - 30 * DAY_MS
    pass_days(place, 29.5)
    place.keep("g")
    place.prune()
    assert place.history.expired_ms is not None and place.history.expired_ms <= NOW_MS


def test_the_cap_is_a_share_of_the_disk_or_a_size(tmp_path: Path) -> None:
    disk = RealDisk(str(tmp_path))
    total = disk.space()[1]
    assert History(disk, lambda: NOW_MS).cap_bytes == total * 10 // 100
    assert History(disk, lambda: NOW_MS, cap_percent=3).cap_bytes == total * 3 // 100
    assert History(disk, lambda: NOW_MS, cap_bytes=7, cap_percent=3).cap_bytes == 7
    disk.close()


def test_what_others_put_there_is_left(place: Place) -> None:
    folder = place.root / FOLDER
    (folder / "2020-01-01").mkdir()
    (folder / "2020-01-01" / "notes").write_bytes(b"")
    (folder / "readme").write_bytes(b"")
    assert place.prune().removed == ()
    assert (folder / "2020-01-01" / "notes").exists()
    assert (folder / "readme").exists()


@pytest.mark.parametrize("name", ["", "notes", "2020-01-01/zz-1-x", "2020-01-01/18f-1-x"])
def test_names_that_are_not_ours(name: str) -> None:
    assert kept_ms(name) is None
