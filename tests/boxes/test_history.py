"""What is kept, for how long, and what goes first."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from flocksy.boxes.apply.folders import make_folders
from flocksy.boxes.apply.history import FOLDER, NAME_BYTES, History, Pruned, kept_ms
from flocksy.boxes.disk.filesystem import RealDisk
from flocksy.boxes.disk.port import Stat
from tests.boxes.bench import NOW_MS, finish

DAY_MS = 24 * 3600 * 1000
LOOK_MS = 4 * 60 * 1000


class LightDisk(RealDisk):
    """Nothing here cuts the power, and the simulations write often."""

    def flush_directory(self, path: str) -> None:
        pass


class Place:
    """A history whose clock is turned by hand."""

    def __init__(self, root: Path, secret: bytes = b"ours") -> None:
        self.root = root
        self.secret = secret
        self.disk = LightDisk(str(root))
        make_folders(self.disk)
        self.now_ms = NOW_MS
        self.set_ms = 0
        """How far the wall clock was set on."""
        self.off_ms = 0
        """For how long the machine was off."""
        self.start()

    def start(self) -> None:
        """The box is opened; the wall clock may have been set before."""
        self.history = History(
            self.disk,
            lambda: self.now_ms,
            cap_bytes=100,
            elapsed_ms=lambda: self.real_ms - self.off_ms,
            secret=self.secret,
        )

    @property
    def real_ms(self) -> int:
        return self.now_ms - self.set_ms

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
        history = History(disk, lambda: NOW_MS, longest_name=longest, secret=b"")
        for path in ("d/" + "n" * (longest - 4) + ".txt", "d/" + "\u00fc" * (longest // 2), "d/f"):
            for _ in range(20):
                name = history.reserve(path).rpartition("/")[2]
                assert kept_ms(name) == NOW_MS
                assert len(os.fsencode(name)) <= max(longest, 22)
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
        pass_days(place, 1)
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
    pass_days(place, 40)
    pruned = place.prune()
    assert pruned.removed == (well,) and pruned.bytes == 10
    assert place.names() == {sick, stuck}


def test_the_same_path_twice_in_one_instant(place: Place) -> None:
    assert place.keep("a") != place.keep("a")
    again = History(place.disk, lambda: place.now_ms, secret=b"")
    assert again.reserve("a").removeprefix(FOLDER + "/") not in place.names()


def test_long_names_keep_their_end(place: Place) -> None:
    name = place.keep("ü" * 120 + ".txt")
    assert name.endswith("ü.txt")
    assert len(os.fsencode(name.rpartition("/")[2])) <= 255
    assert len(os.fsencode(name)) > NAME_BYTES


def test_thirty_days(place: Place) -> None:
    old = place.keep("old")
    pass_days(place, 20)
    young = place.keep("young")
    assert place.prune().removed == ()
    pass_days(place, 11)
    assert place.prune() == Pruned((old,), 10, full=False)
    assert place.names() == {young}
    assert [path.is_dir() for path in (place.root / FOLDER).iterdir()].count(True) == 1


def test_the_cap_takes_the_oldest_first(place: Place) -> None:
    names = []
    for _ in range(20):
        names.append(place.keep("f"))
        pass_days(place, 1)
    assert place.prune() == Pruned(tuple(names[:10]), 100, full=False)
    assert place.names() == set(names[10:])
    assert not place.history.crowded


def test_the_last_seven_days_are_never_touched(place: Place) -> None:
    names = {place.keep("f", 50) for _ in range(5)}
    pass_days(place, 6)
    assert place.prune() == Pruned((), 250, full=True)
    assert place.names() == names
    assert place.history.crowded
    pass_days(place, 2)
    pruned = place.prune()
    assert not pruned.full
    assert len(pruned.removed) == 3


def pass_days(place: Place, days: float) -> None:
    """While the node runs, and looks at its clock every few minutes, or once in two hours while it
    has much to do."""
    left_ms = int(days * DAY_MS)
    while left_ms > 0:
        is_busy = int(days * DAY_MS) - left_ms > 5 * LOOK_MS and left_ms > 35 * LOOK_MS
        step_ms = min(left_ms, 30 * LOOK_MS if is_busy else LOOK_MS)
        place.now_ms += step_ms
        left_ms -= step_ms
        place.history.look_at_clock()


def sleep_days(place: Place, days: float) -> None:
    """The node stands still, and finds it later."""
    place.now_ms += int(days * DAY_MS)
    place.history.look_at_clock()


def ages(place: Place, *names: str) -> list[float]:
    """In days, as the history counts them: what would have to be younger to stay."""
    shown_ms = place.history._clock.look()
    return [(shown_ms - stamp_ms(name)) / DAY_MS for name in names]


def stamp_ms(name: str) -> int:
    return 1000 * int(name.split("-")[3].split(".")[0], 16)


def lose_clock(place: Place) -> None:
    for path in (place.root / FOLDER).glob("clock-*"):
        path.unlink()


def start_anew(place: Place, off_days: float = 0.0, wrong_days: float = 0.0) -> None:
    """The node ends, and starts later on; by its wall clock `wrong_days` after that."""
    place.history.save_clock()
    crash(place, off_days, wrong_days)


def crash(place: Place, off_days: float = 0.0, wrong_days: float = 0.0) -> None:
    """As `start_anew`, without an end: the drive was pulled, or the process killed."""
    place.now_ms += int(off_days * DAY_MS)
    place.off_ms += int(off_days * DAY_MS)
    place.set_clock(int(wrong_days * DAY_MS))
    place.start()


def notes(place: Place) -> list[str]:
    return [path.name for path in (place.root / FOLDER).glob("clock-*")]


@pytest.mark.parametrize("days", [-4000, -40, -1, 0.4, 40, 4000])
@pytest.mark.parametrize("settled", [0.0, 0.1])
def test_to_set_the_clock_ages_nothing(place: Place, days: float, settled: float) -> None:
    pass_days(place, settled)
    names = {place.keep(f"f{number}", 60) for number in range(2)}
    pass_days(place, 1)
    for step in (days, -days, days):
        place.set_clock(int(step * DAY_MS))
        place.history.look_at_clock()
        assert place.prune() == Pruned((), 120, full=True)
        pass_days(place, 1)
        assert place.prune() == Pruned((), 120, full=True)
    assert place.names() == names
    pass_days(place, 8)
    assert not place.prune().full, "full for good"


def test_what_passed_between_two_runs_counts_once_the_clock_is_steady(place: Place) -> None:
    pass_days(place, 0.1)
    before = place.keep("before")
    start_anew(place, off_days=4)
    early = place.keep("early")
    assert ages(place, before)[0] < 0.1
    pass_days(place, 0.1)
    late = place.keep("late")
    assert [round(age) for age in ages(place, before, early, late)] == [4, -1, 0]


def test_what_is_kept_before_the_time_away_is_known_is_no_older_by_it(place: Place) -> None:
    """A machine without a battery: it begins where it stopped, catches up, and is put right."""
    pass_days(place, 0.1)
    start_anew(place, off_days=40, wrong_days=-40)
    early = place.keep("early", 200)
    pass_days(place, 0.001)
    place.set_clock(40 * DAY_MS)
    for _ in range(7):
        pass_days(place, 0.9)
        assert place.prune() == Pruned((), 200, full=True)
    pass_days(place, 6)
    assert place.prune().removed == (early,)


@pytest.mark.parametrize("boot", ["stands", "1970", "battery"])
@pytest.mark.parametrize("minutes", [20, 75])
def test_a_machine_that_is_on_for_a_while_each_day(place: Place, boot: str, minutes: int) -> None:
    """Nothing of the last seven days goes, what is older does, and the notes stay few."""
    pass_days(place, 0.1)
    on = minutes / 1440
    kept: list[tuple[int, str]] = []
    for _ in range(60):
        off = {"stands": on - 1, "1970": -(place.now_ms / DAY_MS), "battery": 0.0}[boot]
        start_anew(place, off_days=1 - on, wrong_days=off)
        removed = set(place.prune().removed)
        kept.append((place.real_ms, place.keep("f", 30)))
        pass_days(place, 0.1 * on)
        place.set_clock(int(-off * DAY_MS))
        place.history.look_at_clock()
        pass_days(place, 0.5 * on)
        kept.append((place.real_ms, place.keep("g", 30)))
        removed |= set(place.prune().removed)
        pass_days(place, 0.4 * on)
        assert not [
            name for at, name in kept if place.real_ms - at < 7 * DAY_MS and name in removed
        ]
        assert len(notes(place)) <= 1
    assert len(place.names()) < 40, "full for good"
    assert place.history.expired_ms is not None, "the index forgets nothing"


@pytest.mark.parametrize("seed", range(30))
def test_nothing_is_taken_too_early(place: Place, seed: int) -> None:
    """Runs and times between them of any length, clocks that begin wrong and are put right after a
    few minutes, if the run is that long; and nodes that are killed."""
    random = Random(seed)
    pass_days(place, 0.1)
    kept: dict[str, int] = {}
    for _ in range(60):
        off = random.choice((0.001, 0.3, 1, 1, 3, 12))
        wrong = random.choice((0, 0, -off, -off / 2, 0.2 - place.now_ms / DAY_MS, 0.1, 900))
        run = random.choice((0.001, 0.01, 0.015, 0.1, 2))
        if random.random() < 0.2:
            place.start()
        start_anew(place, off_days=off, wrong_days=wrong)
        for part in range(4):
            if part == 1 and run > 0.001:
                place.set_clock(-place.set_ms)
            for name in place.prune().removed:
                assert place.real_ms - kept.pop(name) >= 7 * DAY_MS
            kept[place.keep("f", 30)] = place.real_ms
            pass_days(place, min(0.003, run / 4) if part < 1 else run / 4)
        place.set_clock(-place.set_ms if random.random() < 0.5 else 0)
    pass_days(place, 18)
    assert not place.prune().full, "full for good"


def test_where_the_clock_is_ahead_from_the_start_on_nothing_is_older_by_a_week(
    place: Place,
) -> None:
    pass_days(place, 0.1)
    place.keep("f", 200)
    start_anew(place, wrong_days=4000)
    for _ in range(3):
        pass_days(place, 0.1)
        assert place.prune() == Pruned((), 200, full=True)
        start_anew(place)
    place.set_clock(-4000 * DAY_MS)
    pass_days(place, 1)
    assert place.prune() == Pruned((), 200, full=True)


@pytest.mark.parametrize("wrong_days", [-20_000, -4.9, -0.6, 0.6, 4.9, 4000])
@pytest.mark.parametrize("run_days", [0.03, 0.01])
def test_a_clock_that_is_wrong_at_every_other_start(
    place: Place, wrong_days: float, run_days: float
) -> None:
    """Or a drive that goes to and fro between two machines."""
    pass_days(place, 0.1)
    place.keep("f", 200)
    for _ in range(12):
        start_anew(place, wrong_days=wrong_days)
        pass_days(place, run_days)
        assert place.prune() == Pruned((), 200, full=True)
        start_anew(place, wrong_days=-wrong_days)
        pass_days(place, run_days)
        assert place.prune() == Pruned((), 200, full=True)


@pytest.mark.parametrize("marker", ["clock-ffffffffffff-1", "clock-" + "f" * 90 + "-1", ""])
def test_damaged_times_age_nothing(place: Place, marker: str) -> None:
    pass_days(place, 1)
    place.keep("f", 200)
    place.history.save_clock()
    lose_clock(place)
    if marker:
        (place.root / FOLDER / marker).touch()
    (place.root / FOLDER / "2026-09-22" / "IMG-20260101.jpg").touch()
    place.start()
    place.keep("g", 10)
    pass_days(place, 0.1)
    assert place.prune() == Pruned((), 210, full=True)


@pytest.mark.parametrize("stamp", ["f" * 11, "f" * 60, "9502f900"])
def test_a_damaged_name_does_not_set_the_clock_that_is_gone(place: Place, stamp: str) -> None:
    """The last is 79 years: longer than there can have been anything to keep."""
    pass_days(place, 1)
    names = {place.keep("f", 200)}
    damaged = f"2026-09-22/{NOW_MS:011x}-{stamp}.1-g"
    (place.root / FOLDER / damaged).touch()
    lose_clock(place)
    place.start()
    for _ in range(6):
        pass_days(place, 1)
        assert place.prune() == Pruned((), 200, full=True)
    assert place.names() == {*names, damaged}


def test_who_is_killed_loses_an_hour_of_age_at_the_most(place: Place) -> None:
    pass_days(place, 0.1)
    name = place.keep("f")
    for _ in range(60):
        pass_days(place, 0.1)
        place.history.look_at_clock()
    place.start()
    assert 5.8 < ages(place, name)[0] <= 6


def test_the_clock_goes_on_from_the_names_where_its_file_is_gone(place: Place) -> None:
    pass_days(place, 20)
    old = place.keep("old")
    pass_days(place, 20)
    young = place.keep("young")
    place.history.save_clock()
    lose_clock(place)
    place.start()
    younger = place.keep("younger")
    assert place.prune().removed == ()
    pass_days(place, 22)  # the newest may have been dated ten days on
    assert place.prune().removed == (old,)
    assert place.names() == {young, younger}


@pytest.mark.parametrize("sick", ["create", "flush_directory"])
def test_a_clock_that_cannot_be_written_is_tried_again(
    place: Place, monkeypatch: pytest.MonkeyPatch, sick: str
) -> None:
    """And where only the folder cannot be flushed no notes pile up."""

    def full(path: str) -> int:
        raise OSError(errno.ENOSPC, "no space left", path)

    place.keep("f")
    pass_days(place, 0.1)
    (before,) = notes(place)
    with monkeypatch.context() as patched:
        patched.setattr(place.disk, sick, full)
        pass_days(place, 1)
        place.history.save_clock()
        assert notes(place) == [before]
    pass_days(place, 0.001)
    (after,) = notes(place)
    assert after != before


def test_a_note_of_an_earlier_secret_goes_when_ours_is_written(place: Place) -> None:
    pass_days(place, 1)
    before = set(notes(place))
    folder = place.root / FOLDER
    (folder / "clock-of-grandfather").touch()
    (folder / "clock-1-2-3-4.jpg").touch()
    place.secret = b"adopted"
    place.start()
    assert set(notes(place)) > before
    pass_days(place, 0.1)
    assert len(notes(place)) == 3 and before.isdisjoint(notes(place))


def test_names_without_that_time_are_the_oldest(place: Place) -> None:
    name = "2026-09-21/1a0c4506c00-1-before"
    (place.root / FOLDER / name).parent.mkdir()
    (place.root / FOLDER / name).write_bytes(b"x" * 60)
    pass_days(place, 0.1)
    place.keep("f", 60)
    pass_days(place, 6)
    assert place.prune().removed == ()
    pass_days(place, 2)
    assert place.prune().removed == (name,)


def test_how_far_back_it_goes_is_known_while_the_wall_clock_is_believed(place: Place) -> None:
    place.keep("f")
    place.prune()
    assert place.history.expired_ms is None, "too early to say"
    pass_days(place, 0.1)
    place.prune()
    assert place.history.expired_ms == place.now_ms - 30 * DAY_MS
    place.set_clock(40 * DAY_MS)
    place.prune()
    assert place.history.expired_ms is None
    pass_days(place, 6.9)
    place.prune()
    assert place.history.expired_ms is None
    pass_days(place, 0.2)
    place.prune()
    assert place.history.expired_ms == NOW_MS, "what is still there is known"
    start_anew(place, off_days=1, wrong_days=300)
    pass_days(place, 0.1)
    place.prune()
    assert place.history.expired_ms is None


@pytest.mark.parametrize("minutes", [15, 60])
def test_a_doubt_about_the_wall_clock_outlives_the_run(place: Place, minutes: int) -> None:
    pass_days(place, 1)
    start_anew(place, wrong_days=4000)
    for _ in range(12):
        pass_days(place, minutes / 1440)
        place.prune()
        assert (place.history.expired_ms or 0) <= place.real_ms - 30 * DAY_MS
        start_anew(place)
        place.prune()
        assert (place.history.expired_ms or 0) <= place.real_ms - 30 * DAY_MS
    start_anew(place, wrong_days=-4000)
    for _ in range(12):
        pass_days(place, 1)
        place.prune()
    assert place.history.expired_ms is not None


def test_a_clock_that_was_ahead_once_does_not_keep_all_for_good(place: Place) -> None:
    pass_days(place, 1)
    start_anew(place, wrong_days=4000)
    pass_days(place, 0.1)
    start_anew(place, wrong_days=-4000)
    pass_days(place, 0.1)
    place.history.look_at_clock()
    pass_days(place, 7.1)
    name = place.keep("f")
    for _ in range(32):
        start_anew(place, off_days=0.9)
        pass_days(place, 0.1)
    assert place.prune().removed == (name,)


@pytest.mark.parametrize("wrong_days", [0.03, 0.6])
def test_a_clock_that_goes_to_and_fro_a_little_adds_nothing_up(
    place: Place, wrong_days: float
) -> None:
    pass_days(place, 8)
    place.keep("f", 200)
    for _ in range(100):
        start_anew(place, wrong_days=wrong_days)
        pass_days(place, 0.03)
        start_anew(place, wrong_days=-wrong_days)
        pass_days(place, 0.03)
    assert place.prune() == Pruned((), 200, full=True)


def test_what_another_disk_has_written_down_does_not_count(
    place: Place, tmp_path_factory: pytest.TempPathFactory
) -> None:
    theirs = Place(tmp_path_factory.mktemp("theirs"), secret=b"theirs")
    pass_days(theirs, 400)
    theirs.history.save_clock()
    (name,) = (path.name for path in (theirs.root / FOLDER).glob("clock-*"))
    theirs.disk.close()
    pass_days(place, 1)
    place.keep("f", 200)
    place.history.save_clock()
    lose_clock(place)
    (place.root / FOLDER / name).touch()
    place.start()
    pass_days(place, 6)
    assert place.prune() == Pruned((), 200, full=True)


@pytest.mark.parametrize("minutes", [12, 60])
def test_runs_that_never_end_well_age_too(place: Place, minutes: int) -> None:
    """A drive that is pulled, or a machine that is switched off, each day."""
    pass_days(place, 0.1)
    name = place.keep("f")
    for day in range(32):
        assert abs(ages(place, name)[0] - day) < 1.1
        crash(place, off_days=1 - minutes / 1440)
        pass_days(place, minutes / 1440)
    assert place.prune().removed == (name,)


@pytest.mark.parametrize("minutes", [20, 120])
def test_a_clock_that_was_ahead_once_stops_the_clock_for_a_week_only(
    place: Place, minutes: int
) -> None:
    """For who is on for a short while each day. What it shows is noted as it is: what was counted
    is not waited for."""
    pass_days(place, 0.1)
    for wrong in (4000, -4000):
        start_anew(place, off_days=0.9, wrong_days=wrong)
        pass_days(place, minutes / 1440)
    name = place.keep("f")
    for _ in range(9 + 31):
        start_anew(place, off_days=1 - minutes / 1440)
        pass_days(place, minutes / 1440)
    assert place.prune().removed == (name,)
    assert place.history.expired_ms is not None


@pytest.mark.parametrize("step_days", [6, 400])
def test_large_steps_ahead_at_each_start_do_not_add_up(place: Place, step_days: int) -> None:
    pass_days(place, 0.1)
    name = place.keep("f", 200)
    for run in range(7):
        start_anew(place, wrong_days=step_days)
        pass_days(place, 0.02)
        assert place.prune() == Pruned((), 200, full=True), run
    assert ages(place, name)[0] < 5.3


@pytest.mark.parametrize(
    ("step_days", "runs", "run_days", "most"),
    [
        (4, 1, 0.02, 4),
        (4, 7, 0.02, 28),
        (6, 8, 0.02, 5),
        (6, 16, 0.02, 10),
        (400, 16, 0.02, 10),
        (6, 3, 7.1, 15),
    ],
)
def test_steps_ahead_at_each_start_cost_what_the_manual_says(
    place: Place, step_days: int, runs: int, run_days: float, most: int
) -> None:
    pass_days(place, 0.1)
    name = place.keep("f")
    began_ms = place.real_ms
    for _ in range(runs):
        start_anew(place, wrong_days=step_days)
        pass_days(place, run_days)
    passed = (place.real_ms - began_ms) / DAY_MS
    assert most - 0.1 < ages(place, name)[0] - passed < most + 0.1


def test_a_drive_that_is_used_an_hour_a_week_is_thinned_out_and_forgets(place: Place) -> None:
    pass_days(place, 0.1)
    name = place.keep("f")
    forgot = 0
    for _ in range(52):
        start_anew(place, off_days=7 - 1 / 24)
        pass_days(place, 1 / 24)
        place.prune()
        forgot += place.history.expired_ms is not None
    assert name not in place.names()
    assert 5 <= forgot <= 12


def test_while_it_is_in_doubt_nothing_is_added(place: Place) -> None:
    pass_days(place, 1)
    name = place.keep("f")
    start_anew(place, wrong_days=-2)
    pass_days(place, 0.1)
    start_anew(place, off_days=1, wrong_days=2)
    pass_days(place, 0.1)
    assert ages(place, name)[0] < 0.3
    for _ in range(6):
        start_anew(place, off_days=0.9)
        pass_days(place, 0.1)
    assert ages(place, name)[0] < 1
    start_anew(place, off_days=0.9)
    pass_days(place, 0.1)
    assert 1 < ages(place, name)[0] < 2, "the week has passed"


def test_a_clock_is_not_steady_while_the_node_sleeps(place: Place) -> None:
    """Stopped or suspended right after the start, before the clock is put right."""
    pass_days(place, 0.1)
    name = place.keep("f")
    start_anew(place, wrong_days=4)
    pass_days(place, 0.001)
    sleep_days(place, 0.5)
    assert ages(place, name)[0] < 0.6
    early = place.keep("g")
    assert ages(place, early)[0] < -4.9
    place.set_clock(-4 * DAY_MS)
    pass_days(place, 0.1)
    assert ages(place, name)[0] < 0.7


@pytest.mark.parametrize("is_wall_wrong", [False, True])
@pytest.mark.parametrize("is_settled", [False, True])
@pytest.mark.parametrize("is_ended", [False, True])
def test_what_is_cut_from_a_sleep_comes_in_nowhere(
    place: Place, is_wall_wrong: bool, is_settled: bool, is_ended: bool
) -> None:
    """Where it wakes up with a wrong clock the system thinks that it slept for years."""
    pass_days(place, 0.1)
    start_anew(place)
    name = place.keep("f", 200)
    pass_days(place, 0.1 if is_settled else 0.001)
    before = ages(place, name)[0]
    place.off_ms -= 4000 * DAY_MS
    if is_wall_wrong:
        place.set_clock(4000 * DAY_MS)
    place.history.look_at_clock()
    if is_ended:
        start_anew(place)
    pass_days(place, 0.001)
    if is_wall_wrong:
        place.set_clock(-4000 * DAY_MS)
    for _ in range(3):
        pass_days(place, 0.1)
        start_anew(place)
    assert ages(place, name)[0] - before < 5.5
    pass_days(place, 0.1)
    assert place.prune() == Pruned((), 200, full=True)


def test_where_the_note_is_gone_the_wall_clock_is_in_doubt(place: Place) -> None:
    pass_days(place, 1)
    name = place.keep("f")
    place.history.save_clock()
    lose_clock(place)
    place.start()
    pass_days(place, 0.1)
    place.prune()
    assert place.history.expired_ms is None
    before = ages(place, name)[0]
    start_anew(place, off_days=0.9)
    pass_days(place, 0.1)
    assert ages(place, name)[0] - before < 0.2
    pass_days(place, 7)
    place.prune()
    assert place.history.expired_ms is not None


def test_the_cap_is_a_share_of_the_disk_or_a_size(tmp_path: Path) -> None:
    disk = RealDisk(str(tmp_path))
    total = disk.space()[1]
    assert History(disk, lambda: NOW_MS, secret=b"").cap_bytes == total * 10 // 100
    assert History(disk, lambda: NOW_MS, cap_percent=3, secret=b"").cap_bytes == total * 3 // 100
    assert History(disk, lambda: NOW_MS, cap_bytes=7, cap_percent=3, secret=b"").cap_bytes == 7
    disk.close()


def test_what_others_put_there_is_left(place: Place) -> None:
    folder = place.root / FOLDER
    (folder / "2020-01-01").mkdir()
    (folder / "2020-01-01" / "notes").write_bytes(b"")
    (folder / "readme").write_bytes(b"")
    assert place.prune().removed == ()
    assert (folder / "2020-01-01" / "notes").exists()
    assert (folder / "readme").exists()


@pytest.mark.parametrize(
    "name",
    [
        "",
        "notes",
        "2020-01-01/zz-1-x",
        "2020-01-01/18f-1-x",
        "2020-01-01/20260101_12-1-x",
        "2020-01-01/20260101120-photo.jpg",
        "2020-01-01/20260101120--5.1-photo.jpg",
    ],
)
def test_names_that_are_not_ours(name: str) -> None:
    assert kept_ms(name) is None


def test_a_step_back_renews_the_doubt(place: Place) -> None:
    pass_days(place, 0.1)
    name = place.keep("f")
    for wrong in (-1, 0, 0, 0, 0, -1, 0, 0, 0):
        start_anew(place, off_days=0.9, wrong_days=wrong)
        pass_days(place, 0.1)
        place.prune()
        assert place.history.expired_ms is None
    assert ages(place, name)[0] < 1


@pytest.mark.parametrize("days", [-40, 2, 40])
def test_a_step_in_a_run_is_not_believed_for_a_week(place: Place, days: int) -> None:
    pass_days(place, 1)
    place.set_clock(days * DAY_MS)
    pass_days(place, 6.9)
    place.prune()
    assert place.history.expired_ms is None
    pass_days(place, 0.2)
    place.prune()
    assert place.history.expired_ms is not None


def test_a_name_that_was_dated_ahead_makes_nothing_older_where_the_note_is_gone(
    place: Place,
) -> None:
    pass_days(place, 10)
    names = {place.keep("f", 100)}
    start_anew(place)
    names.add(place.keep("g", 100))
    lose_clock(place)
    place.start()
    pass_days(place, 2.1)
    assert place.prune() == Pruned((), 200, full=True)
    assert place.names() == names
