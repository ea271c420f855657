"""From events to paths worth looking at."""

from __future__ import annotations

import errno
import math
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from watchdog.observers.inotify_c import InotifyConstants, InotifyEvent, InotifyFD

from flocksy.boxes.scan.settling import LONGEST_WAIT_S, MAX_PATHS, QUIET_S, Dirty, Settling
from flocksy.boxes.scan.watcher import Watcher
from flocksy.boxes.scan.watches import Watches
from tests.boxes.test_permissions import ordinarily, own_place

__all__ = ["own_place"]

DEADLINE_S = 30.0


def test_a_path_is_handed_on_when_it_has_been_quiet() -> None:
    settling = Settling()
    settling.note("a", 10.0)
    settling.note("a", 10.01)
    assert settling.busy
    assert settling.take(10.01) == Dirty((), False)
    due = settling.deadline_s()
    assert due == pytest.approx(10.01 + QUIET_S)
    settling.note("b", 10.03)
    assert settling.take(due) == Dirty(("a",), False)
    assert settling.take(20.0) == Dirty(("b",), False)
    assert not settling.busy
    assert settling.deadline_s() is None


def test_a_path_that_keeps_changing_waits_longer_but_not_for_ever() -> None:
    settling = Settling()
    now = start = 100.0
    quiet = []
    while settling.take(now) == Dirty((), False):
        settling.note("log", now)
        due = settling.deadline_s()
        assert due is not None
        quiet.append(due - now)
        now += QUIET_S * 0.9
    assert quiet[0] == pytest.approx(QUIET_S)
    assert quiet[3] > 4 * QUIET_S
    assert now - start <= LONGEST_WAIT_S + QUIET_S


def test_too_many_paths_are_one_rescan() -> None:
    settling = Settling()
    for number in range(MAX_PATHS + 5):
        settling.note(f"f{number}", 1.0)
    assert settling.deadline_s() == 0.0
    assert settling.take(1.0) == Dirty((), True), "too many, and none lost"
    assert not settling.busy
    settling.note("a", 2.0)
    assert settling.take(3.0) == Dirty(("a",), False)


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[tuple[Path, Watcher, threading.Event]]:
    root = tmp_path / "box"
    (root / ".flocksy" / "incoming").mkdir(parents=True)
    (root / "old").mkdir()
    woken = threading.Event()
    watcher = Watcher(str(root), woken.set)
    assert watcher.start() is None
    yield root, watcher, woken
    watcher.stop()
    watcher.stop()


def take_until(watcher: Watcher, woken: threading.Event, *paths: str) -> set[str]:
    """Everything handed on until these were."""
    seen: set[str] = set()
    until = time.monotonic() + DEADLINE_S
    while not seen >= set(paths):
        assert time.monotonic() < until, f"only {seen}"
        due = watcher.deadline_s()
        woken.wait(1.0 if due is None else min(max(0.0, due - time.monotonic()), 1.0))
        woken.clear()
        seen.update(watcher.take(time.monotonic()).paths)
    return seen


def test_changes_are_noticed(watched: tuple[Path, Watcher, threading.Event]) -> None:
    root, watcher, woken = watched
    (root / "new").write_bytes(b"x")
    (root / "old" / "inside").write_bytes(b"x")
    (root / "made").mkdir()
    assert take_until(watcher, woken, "new", "old/inside", "made") == {
        "new",
        "old/inside",
        "made",
    }
    (root / "new").rename(root / "made" / "moved")
    (root / "old" / "inside").unlink()
    take_until(watcher, woken, "new", "made/moved", "old/inside")
    (root / "made").chmod(0o700)
    (root / "made" / "moved").chmod(0o600)
    take_until(watcher, woken, "made", "made/moved")
    (root / os.fsdecode(b"not\xfftext")).symlink_to("anywhere")
    take_until(watcher, woken, "not\udcfftext")


def test_ours_and_reading_are_not_noticed(watched: tuple[Path, Watcher, threading.Event]) -> None:
    root, watcher, woken = watched
    (root / "read").write_bytes(b"x")
    take_until(watcher, woken, "read")
    (root / ".flocksy" / "incoming" / "temporary").write_bytes(b"x")
    (root / "read").read_bytes()
    os.listdir(root / "old")
    (root / "last").write_bytes(b"x")
    assert take_until(watcher, woken, "last") == {"last"}


def test_a_tree_moved_in_is_noticed_at_its_top(
    watched: tuple[Path, Watcher, threading.Event], tmp_path: Path
) -> None:
    root, watcher, woken = watched
    (tmp_path / "tree" / "deep").mkdir(parents=True)
    (tmp_path / "tree").rename(root / "tree")
    take_until(watcher, woken, "tree")
    (root / "tree" / "deep" / "later").write_bytes(b"x")
    take_until(watcher, woken, "tree/deep/later")


def test_lost_events_end_in_a_rescan(watched: tuple[Path, Watcher, threading.Event]) -> None:
    root, watcher, woken = watched
    inotify = watcher._eyes._inotify  # type: ignore[union-attr]
    inotify.handle_event(InotifyEvent(-1, InotifyConstants.IN_Q_OVERFLOW, 0, b""))  # type: ignore[arg-type]
    assert woken.is_set()
    assert watcher.busy
    assert not watcher.sees_all
    assert watcher.take(time.monotonic()) == Dirty((), True, lost=True)
    assert watcher.sees_all
    # And from here on everything is watched as before.
    (root / "old" / "later").write_bytes(b"x")
    (root / "later").write_bytes(b"x")
    take_until(watcher, woken, "old/later", "later")


def test_what_was_moved_is_watched_where_it_is(
    watched: tuple[Path, Watcher, threading.Event], tmp_path: Path
) -> None:
    root, watcher, woken = watched
    (root / "a" / "b" / "c").mkdir(parents=True)
    take_until(watcher, woken, "a")
    (root / "a").rename(root / "old" / "moved")
    # Told with all below: what happened there on the way was told by nobody.
    take_until(watcher, woken, "a", "old/moved", "old/moved/b", "old/moved/b/c")
    (root / "old" / "moved" / "b" / "c" / "new").write_bytes(b"x")
    take_until(watcher, woken, "old/moved/b/c/new")
    (root / "old" / "moved").rename(tmp_path / "elsewhere")
    take_until(watcher, woken, "old/moved")
    (tmp_path / "elsewhere" / "b" / "not ours").write_bytes(b"x")
    (tmp_path / "elsewhere" / "b").rename(root / "b")
    assert take_until(watcher, woken, "b", "b/c") == {"b", "b/c"}


def test_a_directory_found_before_its_move_is_told_stays_watched(
    watched: tuple[Path, Watcher, threading.Event],
) -> None:
    """It is moved into a new directory: found there when that is looked through, although nothing
    was said of its move yet. Then its end at the old place is told, and nothing of the new one."""
    root, watcher, woken = watched
    for number in range(60):
        (root / "old" / f"d{number}").mkdir()
    take_until(watcher, woken, *(f"old/d{number}" for number in range(60)))
    for number in range(60):
        (root / f"new{number}").mkdir()
        (root / "old" / f"d{number}").rename(root / f"new{number}" / "d")
    take_until(watcher, woken, *(f"new{number}/d" for number in range(60)), "old/d59")
    for number in range(60):
        (root / f"new{number}" / "d" / "file").write_bytes(b"x")
    take_until(watcher, woken, *(f"new{number}/d/file" for number in range(60)))


def test_where_a_directory_has_gone_to_is_told_with_where_it_went_from(
    watched: tuple[Path, Watcher, threading.Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    """All that is in it is watched before it is told, which takes longer than its old name is left
    to settle; and who is told of that alone sees a deletion."""
    root, watcher, woken = watched
    (root / "a" / "b").mkdir(parents=True)
    take_until(watcher, woken, "a", "a/b")
    at_it, go = threading.Event(), threading.Event()
    real = Watches._watch_below

    def slowly(watches: Watches, path: bytes) -> list[bytes]:
        at_it.set()
        assert go.wait(DEADLINE_S)
        return real(watches, path)

    monkeypatch.setattr(Watches, "_watch_below", slowly)
    (root / "a").rename(root / "c")
    assert at_it.wait(DEADLINE_S)
    assert watcher.take(time.monotonic() + LONGEST_WAIT_S) == Dirty((), False)
    assert watcher.busy and watcher.deadline_s() == math.inf, "no reason to ask again and again"
    watcher.happened(os.fsencode(root / "old" / "edit"))  # woken, and not asked
    woken.clear()
    go.set()
    assert woken.wait(DEADLINE_S)
    found = watcher.take(time.monotonic() + QUIET_S)
    assert set(found.paths) == {"a", "c", "c/b", "old/edit"}
    assert not watcher.busy


def test_both_names_of_what_was_moved_are_due_when_somebody_is_woken(
    watched: tuple[Path, Watcher, threading.Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who is woken may ask before the thread that has woken goes on."""
    root, watcher, woken = watched
    (root / "a" / "b").mkdir(parents=True)
    take_until(watcher, woken, "a", "a/b")
    taken: list[set[str]] = []
    done = threading.Event()

    def take() -> None:
        taken.append(set(watcher.take(time.monotonic() + QUIET_S).paths))
        if taken[-1]:
            done.set()

    arriving = watcher._eyes._arriving  # type: ignore[union-attr]

    def on_its_way(left: bytes) -> None:
        arriving(left)
        assert watcher.take(time.monotonic() + QUIET_S) == Dirty((), False)
        watcher._wake = take

    watcher._wake = lambda: None
    monkeypatch.setattr(watcher._eyes, "_arriving", on_its_way)
    (root / "a").rename(root / "c")
    assert done.wait(DEADLINE_S)
    assert taken == [{"a", "c", "c/b"}]


def test_moves_that_are_told_crosswise_are_paired(tmp_path: Path) -> None:
    said: list[bytes] = []
    watches = Watches(os.fsencode(tmp_path), lambda _: None, lambda: None, said.append)
    directory = InotifyConstants.IN_ISDIR
    (watch,) = [one for one, path in watches._path_of.items() if path == watches._root]
    for mask, cookie, name in (
        (InotifyConstants.IN_MOVED_FROM, 1, b"a"),
        (InotifyConstants.IN_MOVED_FROM, 2, b"b"),
        (InotifyConstants.IN_MOVED_TO, 1, b"c"),
        (InotifyConstants.IN_MOVED_TO, 3, b"from elsewhere"),
        (InotifyConstants.IN_MOVED_TO, 2, b"d"),
    ):
        watches.on_event(InotifyEvent(watch, mask | directory, cookie, name))  # type: ignore[arg-type]
    assert said == [os.path.join(watches._root, name) for name in (b"a", b"b")]
    assert not watches._left
    watches.stop()


def test_a_large_folder_that_arrives_is_no_shortage(
    watched: tuple[Path, Watcher, threading.Event],
) -> None:
    _, watcher, _ = watched
    with watcher._eyes._lock:  # type: ignore[union-attr]
        assert watcher.shortage() is None


def test_only_the_old_place_of_what_is_moved_waits_for_the_new_one() -> None:
    settling = Settling()
    for path in ("edit", "a", "a/b", "ab"):
        settling.note(path, 1.0)
    settling.arriving("a", 1.0)
    assert settling.take(10.0) == Dirty(("ab", "edit"), False), "however long it takes"
    assert settling.deadline_s() == math.inf and settling.busy
    settling.note("new", 11.0)
    assert settling.arrived() and not settling.arrived()
    assert settling.take(1.0 + QUIET_S) == Dirty(("a", "a/b", "new"), False)
    assert settling.deadline_s() is None and not settling.busy


def test_lost_events_are_handed_on_while_something_is_on_its_way() -> None:
    settling = Settling()
    settling.note("a", 1.0)
    settling.arriving("a", 1.0)
    assert settling.take(2.0) == Dirty((), False)
    settling.overflow()
    assert settling.take(2.0) == Dirty((), True, lost=True)
    assert settling.arrived()
    assert settling.take(9.0) == Dirty((), False) and not settling.busy


def test_what_is_moved_in_or_among_ours_holds_up_nothing(
    watched: tuple[Path, Watcher, threading.Event],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    root, watcher, woken = watched
    said: list[bytes] = []
    monkeypatch.setattr(watcher._eyes, "_arriving", said.append)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere").rename(root / "in")
    take_until(watcher, woken, "in")
    assert not said
    monkeypatch.undo()
    (root / "old").rename(root / ".FLOCKSY")
    assert take_until(watcher, woken, "old") == {"old"}
    assert not watcher.busy


def test_what_is_in_a_directory_that_the_disk_did_not_list_is_watched_once_it_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sick" / "below").mkdir(parents=True)
    sick, woken = tmp_path.resolve() / "sick", threading.Event()
    real = os.scandir

    seen_all: list[bool] = []

    def scandir(path: bytes) -> object:
        if path == os.fsencode(sick):
            seen_all.append(watcher.sees_all)
            raise OSError(errno.EIO, "Input/output error", path)
        return real(path)

    watcher = Watcher(str(tmp_path), woken.set)
    with monkeypatch.context() as patched:
        patched.setattr(os, "scandir", scandir)
        said = watcher.start()
        assert said is not None and str(sick) in said and "Input/output error" in said
        assert not watcher.sees_all, "and who deletes something there is not seen"
        assert watcher.shortage() == said
    assert seen_all and not any(seen_all), "nor while it is tried again"
    assert watcher.shortage() is None
    assert watcher.take(time.monotonic()) == Dirty((), True, lost=True)
    (sick / "below" / "file").write_bytes(b"x")
    take_until(watcher, woken, "sick/below/file")
    watcher.stop()


def test_another_directory_of_the_same_name_is_watched(
    watched: tuple[Path, Watcher, threading.Event],
) -> None:
    root, watcher, woken = watched
    for _ in range(3):
        (root / "old").rmdir()
        (root / "old").mkdir()
        (root / "old" / "new").write_bytes(b"x")
        take_until(watcher, woken, "old")
        (root / "old" / "new").unlink()
        take_until(watcher, woken, "old/new")


def test_a_tree_made_fast_is_watched_to_its_end(
    watched: tuple[Path, Watcher, threading.Event],
) -> None:
    root, watcher, woken = watched
    names = [f"t{number}/a/b/c" for number in range(200)]
    for name in names:
        (root / name).mkdir(parents=True)
    take_until(watcher, woken, *names)
    for name in names:
        (root / name / "file").write_bytes(b"x")
    take_until(watcher, woken, *(f"{name}/file" for name in names))


@pytest.mark.parametrize(
    ("number", "words"),
    [(errno.ENOSPC, "max_user_watches"), (errno.EMFILE, "max_user_instances")],
)
def test_a_limit_is_named_with_the_command_that_raises_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, words: str
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, "limit reached")

    watcher = Watcher(str(tmp_path), lambda: None)
    monkeypatch.setattr(InotifyFD, "add_callback", refuse)
    said = watcher.start()
    assert said is not None
    assert words in said
    assert str(tmp_path) in said
    watcher.stop()


def test_a_limit_that_is_reached_later_is_named(
    watched: tuple[Path, Watcher, threading.Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, watcher, _ = watched
    assert watcher.shortage() is None

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "limit reached")

    monkeypatch.setattr(InotifyFD, "add_callback", refuse)
    said = watcher.shortage()
    assert said is not None
    assert "max_user_watches" in said


def test_what_was_refused_is_watched_once_it_can_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "limit reached")

    woken = threading.Event()
    watcher = Watcher(str(tmp_path), woken.set)
    with monkeypatch.context() as limited:
        limited.setattr(InotifyFD, "add_callback", refuse)
        assert watcher.start() is not None
        held = os.listdir("/proc/self/fd")
        for _ in range(3):
            said = watcher.shortage()
            assert said is not None and "max_user_watches" in said
        assert len(os.listdir("/proc/self/fd")) == len(held), "each try holds on to something"
        assert not watcher.busy
    assert watcher.shortage() is None
    assert woken.is_set()
    assert not watcher.sees_all, "what came meanwhile, nobody saw"
    assert watcher.take(time.monotonic()) == Dirty((), True, lost=True)
    assert watcher.sees_all
    (tmp_path / "new").write_bytes(b"x")
    take_until(watcher, woken, "new")
    assert watcher.shortage() is None
    assert not watcher.take(time.monotonic()).rescan
    watcher.stop()


def test_a_folder_that_was_refused_is_looked_at_once_it_is_watched(
    watched: tuple[Path, Watcher, threading.Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    root, watcher, woken = watched

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "limit reached")

    with monkeypatch.context() as limited:
        limited.setattr(InotifyFD, "add_callback", refuse)
        (root / "made").mkdir()
        take_until(watcher, woken, "made")
        assert watcher.shortage() is not None
        assert not watcher.sees_all
        (root / "made" / "unseen").write_bytes(b"x")
    assert watcher.shortage() is None
    assert watcher.take(time.monotonic()).rescan
    (root / "made" / "seen").write_bytes(b"x")
    take_until(watcher, woken, "made/seen")


@pytest.mark.parametrize("mode", [0o000, 0o300, 0o600])
def test_a_directory_that_we_may_not_read_is_watched_once_we_may(
    own_place: Path, mode: int
) -> None:
    """Without the right to list it, or to go into it."""

    def do() -> None:
        closed, woken = own_place / "a" / "closed", threading.Event()
        later = own_place / "a" / "later"
        (closed / "below").mkdir(parents=True)
        closed.chmod(mode)
        watcher = Watcher(str(own_place), woken.set)
        assert watcher.start() is None
        later.mkdir(mode)
        take_until(watcher, woken, "a/later")
        for folder in (closed, later):
            folder.chmod(0o700)
        take_until(watcher, woken, "a/closed", "a/closed/below", "a/later")
        (closed / "below" / "file").write_bytes(b"x")
        (later / "file").write_bytes(b"x")
        take_until(watcher, woken, "a/closed/below/file", "a/later/file")
        watcher.stop()

    ordinarily(do)


def test_what_we_may_not_read_and_is_gone_is_forgotten(own_place: Path) -> None:
    def do() -> None:
        woken = threading.Event()
        for name in ("removed", "moved", "in/it"):
            (own_place / name).mkdir(parents=True, mode=0o700)
            (own_place / name).chmod(0)
        watcher = Watcher(str(own_place), woken.set)
        assert watcher.start() is None
        assert sum(map(len, watcher._eyes._closed.values())) == 3  # type: ignore[union-attr]
        (own_place / "removed").rmdir()
        (own_place / "in" / "it").rmdir()
        (own_place / "in").rmdir()
        (own_place / "moved").rename(own_place / "here")
        take_until(watcher, woken, "removed", "in", "moved", "here")
        root = os.fsencode(own_place.resolve())
        held = watcher._eyes._closed  # type: ignore[union-attr]
        assert held == {root: {os.path.join(root, b"here")}}
        (own_place / "here").chmod(0o700)
        take_until(watcher, woken, "here")
        (own_place / "here" / "file").write_bytes(b"x")
        take_until(watcher, woken, "here/file")
        assert held == {root: set()}
        watcher.stop()

    ordinarily(do)


def test_a_box_that_is_not_there_is_said(tmp_path: Path) -> None:
    watcher = Watcher(str(tmp_path / "nowhere"), lambda: None)
    said = watcher.start()
    assert said is not None
    assert "nowhere" in said
    watcher.stop()


def test_a_shortage_stays_said_where_there_is_no_room_to_ask_again(
    watched: tuple[Path, Watcher, threading.Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk is just when a person looks at the status."""
    _, watcher, _ = watched
    caught: list[object] = []
    monkeypatch.setattr(threading, "excepthook", caught.append)

    def full(*_: object, **__: object) -> str:
        raise OSError(errno.ENOSPC, "full")

    def none(*_: object) -> int:
        raise OSError(errno.ENOSPC, "inotify")

    with monkeypatch.context() as patched:
        patched.setattr(tempfile, "mkdtemp", full)
        assert watcher.shortage() is None
    with monkeypatch.context() as patched:
        patched.setattr(InotifyFD, "add_callback", none)
        said = watcher.shortage()
        assert said is not None
        patched.setattr(tempfile, "mkdtemp", full)
        assert watcher.shortage() == said
    assert watcher.shortage() is None
    assert not caught
