"""What was recorded and told to nobody is forgotten version by version, and only where it is lost
for certain: what is left of it, on this disk alone, stays and is told."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from flocksy.boxes.set_aside import Change
from flocksy.boxes.setup import Mode
from tests.boxes.flock_of_boxes import spool
from tests.boxes.test_delta import noise
from tests.boxes.test_held import Choosing
from tests.boxes.test_modes import configure

__all__ = ["spool"]

PATH = "photos/edited"
ROUNDS = 60


@pytest.fixture
def flock(tmp_path: Path, spool: Path) -> Iterator[Choosing]:
    """Nobody can be told anything."""
    with Choosing(tmp_path, spool) as made:
        made.guard = 100
        made.write(0, PATH, "old")
        made.settle_equal()
        made.quorum = False
        yield made


def record(flock: Choosing, content: str | bytes, path: str = PATH) -> None:
    """The first node makes a version of it."""
    flock.write(0, path, content)
    index, size = flock.box(0).index, len(content)

    def is_recorded() -> bool:
        state = index.flock(path)
        return state is not None and any(head.size == size for head in state.heads.values())

    flock.run_until(is_recorded, ROUNDS)


def shown(flock: Choosing, lane: int) -> set[bytes]:
    return {path.read_bytes() for path in flock.path(lane, "photos").iterdir()}


def look_at(flock: Choosing, lane: int) -> None:
    """Whatever has changed there is found and decided on."""
    box = flock.box(lane)
    box.rescan(flock.now)
    flock.run_until(lambda: not box.scanning and not box.intake.changed, ROUNDS)


def rejected(flock: Choosing) -> None:
    """It was deleted while nobody looked."""
    flock.stop(0)
    flock.path(0, PATH).unlink()
    flock.restart(0)
    flock.run_until(lambda: PATH in flock.box(0).guard.waiting, ROUNDS)
    flock.box(0).reject()


def not_made_here_any_more(flock: Choosing) -> None:
    flock.stop(0)
    flock.write(0, PATH, "another")
    flock.how[0] = (Mode.RECEIVE_ONLY, ())
    flock.restart(0)
    configure(flock, 0, Mode.RECEIVE_ONLY)


def edited_where_only_is_received(flock: Choosing) -> None:
    configure(flock, 0, Mode.RECEIVE_ONLY)
    flock.quorum = True
    flock.run_until(lambda: not flock.box(0).adopting, ROUNDS)
    flock.write(0, PATH, "another")
    look_at(flock, 0)


def replaced_while_off(flock: Choosing) -> None:
    flock.stop(0)
    flock.write(0, PATH, "another")
    flock.restart(0)
    flock.nodes[0].keeper.adopt("box", flock.now)


LOSSES = [rejected, not_made_here_any_more, edited_where_only_is_received, replaced_while_off]


@pytest.mark.parametrize("lose", LOSSES)
@pytest.mark.parametrize("large", [False, True])
def test_an_edit_that_shows_as_a_copy_outlives_a_later_one(
    flock: Choosing, lose: Callable[[Choosing], None], *, large: bool
) -> None:
    """Nobody was told of either; the later one alone is lost."""
    earlier = noise(200_000, 3) if large else b"the first edit"
    flock.stop(0)
    flock.write(0, PATH, earlier)
    flock.quorum = True
    for theirs in ("one before", "theirs"):
        flock.write(1, PATH, theirs)
        flock.settle()
    flock.outside_mean_s = 100_000.0
    flock.restart(0)
    flock.run_until(lambda: shown(flock, 0) == {earlier, b"theirs"}, ROUNDS)
    flock.run_until(lambda: flock.box(0).planning.idle, ROUNDS)
    flock.quorum = False
    flock.step()
    record(flock, "the later one, to be lost")
    lose(flock)
    flock.quorum = True
    flock.run_until(lambda: not flock.box(0).adopting and flock.box(0).planning.idle, ROUNDS)
    assert shown(flock, 1) == {b"theirs"}
    flock.outside_mean_s = 0.0
    flock.stop(0)
    flock.restart(0)
    flock.settle()
    assert earlier in shown(flock, 0)
    assert shown(flock, 1) == shown(flock, 2) >= {earlier, b"theirs"}
    assert not any(flock.box(lane).problems for lane in range(3))


def refuse(flock: Choosing, patch: pytest.MonkeyPatch, path: str) -> None:
    """The disk does not give the first node what is there."""
    disk = flock.box(0).disk
    open_read = disk.open_read

    def refuses(asked: str) -> int:
        if asked == path:
            raise OSError(errno.EACCES, os.strerror(errno.EACCES))
        return open_read(asked)

    patch.setattr(disk, "open_read", refuses)


def test_what_cannot_be_read_at_an_adoption_is_told_later(
    flock: Choosing, monkeypatch: pytest.MonkeyPatch
) -> None:
    record(flock, "edited")
    flock.choose(0, "mail")
    flock.step()
    flock.nodes[0].keeper.adopt("box", flock.now)
    flock.run_until(lambda: flock.kept(0).box is not None, ROUNDS)
    with monkeypatch.context() as patch:
        refuse(flock, patch, PATH)
        flock.quorum = True
        flock.run_until(lambda: not flock.box(0).adopting, ROUNDS)
    flock.settle()
    assert flock.path(1, PATH).read_text() == "edited"


def test_what_cannot_be_read_for_a_while_where_only_is_received_stays(
    flock: Choosing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its mode is another meanwhile, and then again what it was."""
    record(flock, "edited")
    mode = flock.path(0, PATH).stat().st_mode
    configure(flock, 0, Mode.RECEIVE_ONLY)
    flock.quorum = True
    with monkeypatch.context() as patch:
        refuse(flock, patch, PATH)
        flock.run_until(lambda: not flock.box(0).adopting, ROUNDS)
        flock.path(0, PATH).chmod(0o600)
        look_at(flock, 0)
    flock.path(0, PATH).chmod(mode)
    look_at(flock, 0)
    flock.settle_equal()
    assert flock.path(1, PATH).read_text() == "edited"


def in_receive_only(flock: Choosing, path: str, content: str) -> None:
    """The first node's version is told to nobody; then it only receives, and this is written."""
    configure(flock, 0, Mode.RECEIVE_ONLY)
    flock.write(0, path, content)
    flock.quorum = True
    flock.settle()


@pytest.mark.parametrize("content", ["small", "x" * 50_000])
def test_a_new_file_that_is_given_up_where_only_is_received_goes(
    flock: Choosing, content: str
) -> None:
    record(flock, "recorded" + content, "new")
    in_receive_only(flock, "new", "set aside" + content)
    box = flock.box(0)
    assert box.set_aside.changes(9) == [Change("new", "new")]
    assert box.revert(None) == ["new"]
    flock.settle_equal()
    assert not flock.path(0, "new").exists() and not box.set_aside.changes(9)
    assert ("set aside" + content).encode() in [one.read_bytes() for one in flock.history(0)]


def test_what_was_taken_back_and_is_put_there_again_stays_where_only_is_received(
    flock: Choosing,
) -> None:
    """From a backup, say: the flock knows of none such."""
    record(flock, "edited")
    before = flock.path(0, PATH).stat()
    in_receive_only(flock, PATH, "another")
    box, path = flock.box(0), flock.path(0, PATH)
    assert box.set_aside.changes(9) == [Change(PATH, "changed")]
    path.write_text("edited")
    os.utime(path, ns=(before.st_mtime_ns, before.st_mtime_ns))
    look_at(flock, 0)
    flock.settle()
    assert path.read_text() == "edited"
    assert box.set_aside.changes(9) == [Change(PATH, "changed")]
    assert box.revert(None) == [PATH]
    flock.settle_equal()
    assert path.read_text() == "old"


def test_what_was_deleted_where_only_is_received_stays_so(flock: Choosing) -> None:
    """Whether or not anybody was told of the edit before it."""
    record(flock, "edited")
    in_receive_only(flock, PATH, "another")
    flock.path(0, PATH).unlink()
    look_at(flock, 0)
    flock.settle()
    assert flock.box(0).set_aside.changes(9) == [Change(PATH, "deleted")]
    assert flock.box(0).revert(None) == [PATH]
    flock.settle_equal()
    assert flock.path(0, PATH).read_text() == "old"


def test_a_large_file_that_has_grown_where_only_is_received_is_told_to_nobody(
    flock: Choosing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No version follows that would say what has become of it: it was missing everywhere."""
    record(flock, noise(100_000, 1), "new")
    configure(flock, 0, Mode.RECEIVE_ONLY)
    agreed = flock._burst

    def begins(need: int) -> None:
        if not flock.box(0).adopting:
            monkeypatch.undo()
            flock.write(0, "new", noise(200_000, 2))
        agreed(need)

    monkeypatch.setattr(flock, "_burst", begins)
    flock.quorum = True
    flock.settle()
    assert flock.path(0, "new").read_bytes() == noise(200_000, 2)
    assert not any(flock.box(lane).problems for lane in range(3))
