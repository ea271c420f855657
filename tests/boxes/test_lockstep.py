"""Three real box sides over hand-moved rings: what people do to folders, and what goes wrong.

Each scene ends in `settle_equal`: every node says that it is done, the boxes are equal, nothing
is wrong anywhere, and nothing moves afterwards.
"""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path

import pytest

from flocksy.boxes.lanes.peers import SILENT_ROUNDS
from flocksy.testing.trees import snapshot
from tests.boxes.flock_of_boxes import Flock, flock, spool

__all__ = ["flock", "spool"]

MEGABYTE = 1_000_000


def noise(size: int, seed: int = 0) -> bytes:
    """Bytes that do not compress, the same in every run."""
    return random.Random(seed).randbytes(size)


def copies(flock: Flock, lane: int) -> list[str]:
    """Names of conflict copies in one box."""
    return sorted(name for name in flock.tree(lane) if ".conflict-" in name)


# -- ordinary days ---------------------------------------------------------------------------------


def test_all_sorts_of_things_arrive_and_go(flock: Flock) -> None:
    flock.write(0, "a.txt", "one")
    flock.write(0, "empty", b"")
    flock.write(1, "deep/er/than/that.bin", noise(70_000))
    flock.path(1, "nothing in it").mkdir()
    flock.write(2, "Übung 🐦.txt", "umlaut and bird")
    os.symlink("a.txt", flock.path(2, "link"))
    flock.write(0, "tool", "#!/bin/sh").chmod(0o755)
    flock.settle_equal()
    assert {"a.txt", "empty", "deep/er/than/that.bin", "nothing in it", "link"} <= flock.tree(0)

    flock.write(1, "a.txt", "two")
    flock.path(2, "tool").chmod(0o700)
    flock.path(0, "deep/er").rename(flock.path(0, "moved"))
    flock.path(1, "link").unlink()
    os.symlink("empty", flock.path(1, "link"))
    flock.path(2, "nothing in it").rmdir()
    flock.settle_equal()
    assert flock.path(0, "a.txt").read_text() == "two"
    assert flock.path(0, "link").readlink() == Path("empty")
    assert flock.path(1, "tool").stat().st_mode & 0o777 == 0o700
    assert flock.path(2, "moved/than/that.bin").read_bytes() == noise(70_000)

    for name in ("deep", "moved"):
        shutil.rmtree(flock.path(2, name))
    flock.path(0, "empty").unlink()
    flock.path(1, "a.txt").unlink()
    flock.settle_equal()
    assert flock.tree(0) == {"link", "tool", "Übung 🐦.txt"}
    assert not copies(flock, 0)


def test_many_small_files(flock: Flock) -> None:
    for number in range(500):
        flock.write(0, f"d{number % 20}/f{number}", f"content {number}")
    flock.settle_equal()
    assert len(flock.tree(2)) == 520
    shutil.rmtree(flock.path(1, "d3"))
    for number in range(0, 500, 2):
        if number % 20 != 3:
            flock.write(2, f"d{number % 20}/f{number}", f"changed {number}")
    flock.settle_equal()
    assert not copies(flock, 0)


def test_a_large_file_its_edit_and_its_rename(flock: Flock) -> None:
    content = bytearray(noise(5 * MEGABYTE))
    flock.write(0, "large", bytes(content))
    flock.settle_equal()
    assert flock.said_bytes < 5.3 * MEGABYTE

    said = flock.said_bytes
    content[2 * MEGABYTE : 2 * MEGABYTE + 4096] = noise(4096, seed=1)
    flock.write(1, "large", bytes(content))
    flock.settle_equal()
    assert flock.path(2, "large").read_bytes() == content
    assert flock.said_bytes - said < 150_000

    said = flock.said_bytes
    flock.path(2, "sub").mkdir()
    flock.path(2, "large").rename(flock.path(2, "sub/larger"))
    flock.settle_equal()
    assert flock.path(0, "sub/larger").read_bytes() == content
    assert flock.said_bytes - said < 4_000


def test_equal_contents_travel_once_and_do_not_conflict(flock: Flock) -> None:
    flock.scan_s = 60.0  # what is found late on a laden machine is said apart
    content = noise(200_000)
    for number in range(10):
        flock.write(0, f"many/{number}", content)
    stamp = 1_700_000_000_000_000_000
    for lane in (1, 2):
        path = flock.write(lane, "same", noise(50_000, seed=1))
        os.utime(path, ns=(stamp, stamp))
    flock.settle_equal()
    assert not copies(flock, 0)
    assert flock.said_bytes < 450_000


def test_a_file_that_is_replaced_while_it_is_sent(flock: Flock) -> None:
    flock.write(0, "file", noise(3 * MEGABYTE))
    done = []

    def replace(_sender: int, _receiver: int, _round: int) -> bool:
        if flock.bursts and not done:
            done.append(True)
            new = flock.write(0, "new", noise(3 * MEGABYTE, seed=1))
            new.replace(flock.path(0, "file"))
        return False

    flock.lost = replace
    flock.settle_equal()
    assert done
    assert flock.path(2, "file").read_bytes() == noise(3 * MEGABYTE, seed=1)
    assert flock.tree(1) == {"file"}


# -- two people at once ----------------------------------------------------------------------------


def conflicted(flock: Flock) -> str:
    """Make a conflict at file.txt and return the name of the copy."""
    flock.write(0, "file.txt", "old")
    flock.settle_equal()
    flock.write(0, "file.txt", "ours")
    flock.write(1, "file.txt", "theirs")
    flock.settle_equal()
    (copy,) = copies(flock, 2)
    assert {flock.path(2, name).read_text() for name in ("file.txt", copy)} == {"ours", "theirs"}
    return copy


def test_two_edits_at_once_give_a_winner_and_one_copy(flock: Flock) -> None:
    copy = conflicted(flock)
    assert flock.tree(0) == flock.tree(1) == {"file.txt", copy}


def test_large_edits_at_once(flock: Flock) -> None:
    for lane in range(3):
        flock.write(lane, "file.bin", noise(300_000, seed=lane))
    flock.settle_equal()
    found = {flock.path(0, name).read_bytes() for name in flock.tree(0)}
    assert found == {noise(300_000, seed=lane) for lane in range(3)}


def test_a_loser_that_was_not_sent_yet_is_not_lost(flock: Flock) -> None:
    """A small winner arrives in a heartbeat while the large loser still waits for its burst."""
    flock.settle()
    for number in range(8):
        flock.write(0, f"file {number}", f"small {number}")
        flock.write(1, f"file {number}", noise(200_000, seed=number))
    flock.settle_equal()
    assert len(copies(flock, 2)) == 8
    assert len(flock.tree(2)) == 16


def test_two_files_that_change_names(flock: Flock) -> None:
    flock.write(0, "a", noise(MEGABYTE, seed=1))
    flock.write(0, "b", noise(MEGABYTE, seed=2))
    flock.settle_equal()
    said = flock.said_bytes
    flock.path(1, "a").rename(flock.path(1, "c"))
    flock.path(1, "b").rename(flock.path(1, "a"))
    flock.path(1, "c").rename(flock.path(1, "b"))
    flock.settle_equal()
    assert flock.path(0, "a").read_bytes() == noise(MEGABYTE, seed=2)
    assert flock.path(2, "b").read_bytes() == noise(MEGABYTE, seed=1)
    assert flock.said_bytes - said < 4_000


def test_a_copy_that_is_deleted_stays_deleted(flock: Flock) -> None:
    copy = conflicted(flock)
    winner = flock.path(0, "file.txt").read_text()
    flock.path(2, copy).unlink()
    flock.settle_equal()
    assert flock.tree(1) == {"file.txt"}
    assert flock.path(1, "file.txt").read_text() == winner
    flock.write(0, "file.txt", "next")
    flock.settle_equal()
    assert flock.tree(1) == {"file.txt"}


def test_a_copy_that_is_edited_is_a_file_of_its_own(flock: Flock) -> None:
    copy = conflicted(flock)
    flock.write(2, copy, "merged by hand")
    flock.settle_equal()
    assert flock.tree(0) == {"file.txt", copy}
    assert flock.path(0, copy).read_text() == "merged by hand"
    flock.path(0, "file.txt").unlink()
    flock.settle_equal()
    assert flock.tree(1) == {copy}


def test_a_copy_that_is_moved_over_its_owner(flock: Flock) -> None:
    copy = conflicted(flock)
    loser = flock.path(0, copy).read_text()
    flock.path(1, copy).replace(flock.path(1, "file.txt"))
    flock.settle_equal()
    assert flock.tree(0) == {"file.txt"}
    assert flock.path(0, "file.txt").read_text() == loser


def test_an_owner_that_is_deleted_leaves_its_copy_in_its_place(flock: Flock) -> None:
    copy = conflicted(flock)
    loser = flock.path(0, copy).read_text()
    flock.path(0, "file.txt").unlink()
    flock.settle_equal()
    assert flock.tree(2) == {"file.txt"}
    assert flock.path(2, "file.txt").read_text() == loser


def test_an_edit_survives_a_delete(flock: Flock) -> None:
    flock.write(0, "file", "old")
    flock.settle_equal()
    flock.path(0, "file").unlink()
    flock.write(1, "file", "new")
    flock.settle_equal()
    assert flock.tree(2) == {"file"}
    assert flock.path(0, "file").read_text() == "new"


def test_a_directory_deleted_here_and_filled_there(flock: Flock) -> None:
    flock.write(0, "folder/old", "old")
    flock.settle_equal()
    shutil.rmtree(flock.path(0, "folder"))
    flock.write(1, "folder/new", "new")
    flock.settle_equal()
    assert flock.tree(2) == {"folder", "folder/new"}


def test_a_file_and_a_directory_at_one_path(flock: Flock) -> None:
    flock.write(0, "thing", "a file")
    flock.write(1, "thing/inside", "in a directory")
    flock.settle_equal()
    (copy,) = copies(flock, 2)
    assert flock.tree(2) == {"thing", "thing/inside", copy}
    assert flock.path(2, copy).read_text() == "a file"


def test_a_file_becomes_a_directory_and_back(flock: Flock) -> None:
    flock.write(0, "thing", "a file")
    flock.settle_equal()
    flock.path(1, "thing").unlink()
    flock.write(1, "thing/inside", "in a directory")
    flock.settle_equal()
    assert flock.tree(2) == {"thing", "thing/inside"}
    shutil.rmtree(flock.path(2, "thing"))
    flock.write(2, "thing", "a file again")
    flock.settle_equal()
    assert flock.tree(0) == {"thing"}


def test_one_file_renamed_to_two_names(flock: Flock) -> None:
    flock.write(0, "file", noise(100_000))
    flock.settle_equal()
    flock.path(0, "file").rename(flock.path(0, "here"))
    flock.path(1, "file").rename(flock.path(1, "there"))
    flock.settle_equal()
    assert flock.tree(2) == {"here", "there"}


def test_a_chmod_does_not_conflict_with_an_edit(flock: Flock) -> None:
    flock.write(0, "file", "old").chmod(0o644)
    flock.settle_equal()
    flock.path(0, "file").chmod(0o600)
    flock.write(1, "file", "new")
    flock.settle_equal()
    assert flock.tree(2) == {"file"}
    assert flock.path(0, "file").read_text() == "new"


# -- what the network does -------------------------------------------------------------------------


def test_a_heartbeat_that_was_lost_is_repaired(flock: Flock) -> None:
    flock.settle()
    flock.lost = lambda _sender, receiver, _round: receiver == 2
    flock.write(0, "small", "a few bytes")
    flock.run_until(lambda: flock.path(1, "small").exists())
    assert not flock.path(2, "small").exists()
    flock.lost = lambda _sender, _receiver, _round: False
    flock.settle_equal()
    assert flock.path(2, "small").read_text() == "a few bytes"


@pytest.mark.parametrize("count", [100, 400])
def test_many_lost_records_are_reconciled(flock: Flock, count: int) -> None:
    for number in range(count):
        flock.write(0, f"before{number % 7}/{number}", str(number))
    flock.settle()
    # Node 2 hears nothing of what is said now, in heartbeats or bursts, nor the repeats.
    flock.lost = lambda sender, receiver, _round: (sender, receiver) == (0, 2)
    for number in range(count):
        flock.write(0, f"after{number % 7}/{number}", str(number))
    flock.run_until(lambda: len(flock.tree(1)) == 2 * count + 14)
    flock.lost = lambda _sender, _receiver, _round: False
    flock.settle_equal()


def test_losses_in_a_burst_are_followed_by_one_repeat(flock: Flock) -> None:
    flock.settle()
    draw = random.Random(1)

    def lost(_sender: int, _receiver: int, _round: int) -> bool:
        return len(flock.bursts) == 1 and draw.random() < 0.2

    flock.lost = lost
    flock.write(0, "large", noise(MEGABYTE))
    flock.settle_equal()
    assert [burst.repeat for burst in flock.bursts] == [False, True]
    assert flock.bursts[0].length == flock.bursts[1].length


def test_what_the_repeat_loses_as_well_is_wanted(flock: Flock) -> None:
    flock.settle()
    draw = random.Random(2)

    def lost(_sender: int, receiver: int, _round: int) -> bool:
        return 1 <= len(flock.bursts) <= 2 and receiver == 2 and draw.random() < 0.3

    flock.lost = lost
    flock.write(0, "large", noise(MEGABYTE))
    flock.settle_equal()
    assert [burst.repeat for burst in flock.bursts[:2]] == [False, True]
    assert len(flock.bursts) >= 3
    assert not any(burst.repeat for burst in flock.bursts[2:])


def test_lossy_from_beginning_to_end(flock: Flock) -> None:
    draw = random.Random(3)
    flock.lost = lambda _sender, _receiver, _round: draw.random() < 0.1
    for lane in range(3):
        flock.write(lane, f"from{lane}", noise(300_000, seed=lane))
        for number in range(30):
            flock.write(lane, f"small{lane}/{number}", f"{lane} {number}")
    flock.run_until(lambda: not flock.unequal())
    flock.lost = lambda _sender, _receiver, _round: False
    flock.settle_equal()


# -- who was away ----------------------------------------------------------------------------------


def test_a_node_that_was_away_with_edits_of_its_own(flock: Flock) -> None:
    for name in ("kept", "edited here", "edited there", "edited by both", "deleted here"):
        flock.write(0, name, name)
    flock.write(0, "folder/deleted there", "gone")
    flock.settle_equal()
    flock.stop(2)
    flock.write(0, "edited here", "a")
    flock.write(1, "edited by both", "b")
    flock.path(1, "deleted here").unlink()
    flock.write(0, "new here", noise(200_000))
    flock.settle_equal()
    flock.write(2, "edited there", "c")
    flock.write(2, "edited by both", "d")
    shutil.rmtree(flock.path(2, "folder"))
    flock.write(2, "new there", noise(200_000, seed=1))
    flock.restart(2)
    flock.settle_equal()
    (copy,) = copies(flock, 0)
    assert flock.tree(0) == {
        *("kept", "edited here", "edited there", "edited by both", "new here", "new there", copy)
    }
    assert {flock.path(1, name).read_text() for name in ("edited by both", copy)} == {"b", "d"}


def test_nothing_moves_below_quorum(flock: Flock) -> None:
    flock.settle()
    flock.stop(1)
    flock.stop(2)
    flock.write(0, "alone", "at home")
    said = flock.said_bytes
    for _ in range(50):
        flock.step()
    assert flock.said_bytes == said
    flock.restart(1)
    flock.run_until(lambda: flock.path(1, "alone").exists())
    flock.restart(2)
    flock.settle_equal()


@pytest.mark.parametrize("rounds", [2, SILENT_ROUNDS + 5])
def test_who_named_no_box_below_quorum_does_not_lack_it(flock: Flock, rounds: int) -> None:
    """Nor do they still say what they said before: a box could be adopted on the word of nobody."""
    flock.settle()
    flock.quorum = False
    for _ in range(rounds):
        flock.step()
    flock.quorum = True
    flock._tell(None, 0)  # there is quorum, and no cell of the others has come since
    exchange, box = flock.nodes[0].exchange, flock.box(0)
    exchange.turn(flock.now)
    assert not exchange.peers.lacking(box.setup.tag, exchange.live())
    assert not exchange.agrees(box)
    flock.settle_equal()


def test_a_change_made_before_the_stop_is_said_after_it(flock: Flock) -> None:
    flock.settle()
    flock.write(0, "late", noise(400_000))
    flock.run_until(lambda: flock.box(0).index.outgoing_count() > 0)
    flock.stop(0)
    flock.restart(0)
    flock.settle_equal()
    assert flock.path(1, "late").read_bytes() == noise(400_000)


def test_what_was_seen_and_not_recorded_before_a_stop(flock: Flock) -> None:
    flock.write(0, "deleted", "old")
    flock.settle_equal()
    flock.box(0)._commit = lambda _: False  # type: ignore[method-assign]  # it gets no further
    flock.write(0, "folder/large", noise(100_000))
    flock.path(0, "deleted").unlink()
    for _ in range(5):
        flock.step()
    flock.kill(0)
    flock.restart(0)
    flock.settle_equal()
    assert flock.tree(1) == {"folder", "folder/large"}


@pytest.mark.parametrize("rounds", (1, 4, 7, 10))
def test_a_node_that_is_killed_on_the_way(flock: Flock, rounds: int) -> None:
    flock.settle()
    for number in range(30):
        flock.write(0, f"folder/{number}", noise(5_000, seed=number))
    flock.write(1, "large", noise(300_000, seed=30))
    for _ in range(rounds):
        flock.step()
    flock.kill(2)
    flock.write(1, "folder/3", "edited")
    flock.path(0, "folder/4").unlink(missing_ok=True)
    flock.settle_equal()
    flock.write(2, "folder/5", "edited while it was dead")
    flock.restart(2)
    flock.settle_equal()
    assert flock.tree(2) >= {"folder/3", "large"}
    assert flock.path(0, "large").read_bytes() == noise(300_000, seed=30)


def test_a_node_with_an_empty_box_joins(tmp_path: Path, spool: Path) -> None:
    with Flock(tmp_path, spool, size=4) as flock:
        flock.stop(3)
        for number in range(200):
            flock.write(number % 3, f"d{number % 5}/{number}", noise(3_000, seed=number))
        flock.write(0, "large", noise(600_000))
        flock.settle_equal()
        shutil.rmtree(flock.path(3))
        for left in flock.root.glob("state3/box*"):
            left.unlink()
        flock.restart(3)
        flock.settle_equal()
        assert len(flock.tree(3)) == 206


# -- disks of unknown past -------------------------------------------------------------------------


def some_files(flock: Flock) -> None:
    for number in range(20):
        flock.write(0, f"folder{number % 3}/{number}", f"content {number}")
    flock.write(0, "large", noise(200_000))
    flock.write(1, "edited meanwhile", "old")
    flock.write(1, "deleted meanwhile", "old")
    flock.settle_equal()


def lose_index(flock: Flock, lane: int) -> None:
    for left in flock.root.glob(f"state{lane}/box*"):
        left.unlink()


def test_a_lost_index_is_adopted_on_the_users_word(flock: Flock) -> None:
    some_files(flock)
    before = flock.tree(0)
    flock.stop(2)
    lose_index(flock, 2)
    flock.write(0, "edited meanwhile", "new")
    flock.path(0, "deleted meanwhile").unlink()
    flock.settle_equal()
    flock.write(2, "made alone", "mine")
    flock.path(2, "folder0/0").unlink()  # without an index nobody can tell: it comes back
    flock.restart(2)
    for _ in range(30):
        flock.step()
    assert flock.kept(2).box is None
    assert "adopt" in flock.kept(2).reason
    flock.nodes[2].keeper.adopt("box", flock.now)
    flock.settle_equal()
    assert flock.tree(0) == (before - {"deleted meanwhile"}) | {"made alone"}
    assert flock.path(2, "edited meanwhile").read_text() == "new"


def test_a_damaged_index_is_adopted_by_itself(flock: Flock) -> None:
    some_files(flock)
    before = flock.tree(0)
    flock.stop(2)
    database = flock.root / "state2" / "box.sqlite"
    lose_index(flock, 2)
    database.write_bytes(b"this was a database once" * 1000)
    flock.restart(2)
    flock.settle_equal()
    assert flock.tree(0) == before


def test_all_indexes_lost_at_once(flock: Flock) -> None:
    some_files(flock)
    before = snapshot(flock.path(0))
    for lane in range(3):
        flock.stop(lane)
        lose_index(flock, lane)
    flock.write(1, "edited meanwhile", "other")
    for lane in range(3):
        flock.restart(lane)
        flock.nodes[lane].keeper.adopt("box", flock.now)
    flock.settle_equal()
    (copy,) = copies(flock, 0)
    assert flock.tree(0) == {*before, copy}


def test_a_box_without_marker_rests_and_goes_on(flock: Flock) -> None:
    some_files(flock)
    before = flock.tree(0)
    flock.path(1).rename(flock.root / "drive")  # as if its drive were unmounted
    flock.path(1).mkdir()
    flock.box(1).rescan(flock.now)
    flock.write(0, "meanwhile", "written while the drive was away")
    for _ in range(60):
        flock.step()
    assert flock.kept(1).box is None
    assert flock.tree(1) == set()
    assert flock.tree(2) == before | {"meanwhile"}
    flock.path(1).rmdir()
    (flock.root / "drive").rename(flock.path(1))
    flock.settle_equal()
    assert flock.tree(1) == before | {"meanwhile"}


def test_an_old_copy_of_a_box_deletes_and_revives_nothing(flock: Flock) -> None:
    some_files(flock)
    flock.stop(2)
    backup = shutil.copytree(flock.path(2), flock.root / "backup", symlinks=True)
    flock.restart(2)
    flock.write(0, "edited meanwhile", "new")
    flock.path(0, "deleted meanwhile").unlink()
    flock.write(1, "folder0/later", "later")
    flock.settle_equal()
    flock.stop(2)
    shutil.rmtree(flock.path(2))
    backup.rename(flock.path(2))
    before = flock.tree(0)
    flock.restart(2)
    flock.settle_equal()
    assert flock.tree(0) == before


def test_alone_a_disk_of_unknown_past_is_not_adopted(flock: Flock) -> None:
    some_files(flock)
    for lane in range(3):
        flock.stop(lane)
    lose_index(flock, 2)
    (flock.root / "state2" / "box.sqlite").write_bytes(b"this was a database once" * 1000)
    flock.write(2, "edited meanwhile", "an old backup")
    flock.restart(2)
    for _ in range(100):
        flock.step()
    box = flock.box(2)
    assert box.scanned_once and box.adopting
    assert box.index.flock("edited meanwhile") is None, "no version of it yet"
    flock.restart(0)
    flock.restart(1)
    flock.settle_equal()
    assert not flock.box(2).adopting
