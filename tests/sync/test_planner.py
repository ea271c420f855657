"""The planner on whole flocks in memory: named clashes, one by one. Random lives by the thousand
are in `test_lives`."""

from __future__ import annotations

from dataclasses import replace

import pytest

from flocksy.sync.capabilities import Capabilities
from flocksy.sync.operations import Hold, PutFile, Record, Remove
from flocksy.sync.version import Kind
from tests.sync.flock_in_memory import DIRECTORY, Node, file, symlink
from tests.sync.lives import Flock

EXFAT = Capabilities(mode_bits=False, symlinks=True, mtime_grain_ns=2_000_000_000)


def flock_with(*entries: tuple[str, object], nodes: int = 2) -> Flock:
    """A settled flock whose box holds the entries."""
    flock = Flock([Node() for _ in range(nodes)])
    for path, entry in entries:
        flock.nodes[0].write(path, entry)  # type: ignore[arg-type]  # object keeps calls short
    flock.settle()
    return flock


def settled(flock: Flock) -> dict[str, bytes]:
    """Settle, check, and say what everybody sees: path -> content root."""
    flock.settle()
    flock.check()
    return {path: entry.root for path, entry in flock.nodes[0].disk.items()}


def copies(shown: dict[str, bytes]) -> list[str]:
    return [path for path in shown if ".conflict-" in path]


def test_what_one_writes_all_have() -> None:
    flock = flock_with(("d/e/f", file("x", 0o600)), ("d/empty", DIRECTORY), ("link", symlink("f")))
    assert settled(flock).keys() == {"d", "d/e", "d/e/f", "d/empty", "link"}
    flock.nodes[1].delete("d")
    assert settled(flock).keys() == {"link"}


def test_edit_against_edit_gives_a_winner_and_a_copy() -> None:
    flock = flock_with(("n.txt", file("old")))
    for node, text in zip(flock.nodes, ("left", "right"), strict=True):
        node.write("n.txt", file(text))
    shown = settled(flock)
    (copy,) = copies(shown)
    assert copy.startswith("n.conflict-20010909-")
    assert copy.endswith(".txt")
    assert set(shown.values()) == {file("left").root, file("right").root}


def test_equal_edits_are_no_conflict() -> None:
    flock = flock_with(("n", file("old")))
    for number, node in enumerate(flock.nodes):
        node.write("n", file("same", mtime_ns=number))
    assert settled(flock) == {"n": file("same").root}


def test_edit_against_delete_keeps_the_edit() -> None:
    flock = flock_with(("n", file("old")))
    flock.nodes[0].delete("n")
    flock.nodes[1].write("n", file("new"))
    assert settled(flock) == {"n": file("new").root}


def test_delete_against_delete_is_one_delete() -> None:
    flock = flock_with(("n", file("old")))
    for node in flock.nodes:
        node.delete("n")
    assert settled(flock) == {}
    assert len(flock.nodes[0].trees.states["n"].heads) == 1


def test_what_is_deleted_can_be_made_again() -> None:
    flock = flock_with(("n", file("old")))
    flock.nodes[0].delete("n")
    settled(flock)
    flock.nodes[1].write("n", file("old"))
    assert settled(flock) == {"n": file("old").root}
    assert len(flock.nodes[0].trees.states["n"].heads) == 1


def test_chmod_against_edit_is_no_conflict() -> None:
    """A mass chmod must not turn a box into conflicts."""
    flock = flock_with(("n", file("old")))
    flock.nodes[0].disk["n"] = replace(flock.nodes[0].disk["n"], mode=0o755)
    flock.nodes[1].write("n", file("new"))
    assert settled(flock) == {"n": file("new").root}


def test_an_edit_where_a_mode_was_refused_brings_the_mode_that_is_shown() -> None:
    flock = flock_with(("n", file("old")))
    left, right = flock.nodes
    left.disk["n"] = replace(left.disk["n"], mode=0o755)
    flock.settle()
    shown = replace(right.disk["n"], mode=0o644)
    right.disk["n"] = right.trees.locals["n"] = shown
    right.trees.synceds["n"] = replace(right.trees.synceds["n"], disk=shown)
    right.write("n", file("new"))
    assert settled(flock) == {"n": file("new").root}
    assert {node.disk["n"].mode for node in flock.nodes} == {0o644}


def test_many_chmods_are_still_no_edit() -> None:
    flock = flock_with(("n", file("old")))
    left, right = flock.nodes
    for mode in (0o700, 0o711, 0o755):
        left.disk["n"] = replace(left.disk["n"], mode=mode)
        left.step()
    right.write("n", file("new"))
    assert settled(flock) == {"n": file("new").root}


def test_a_chmod_after_an_edit_does_not_hide_the_edit() -> None:
    flock = flock_with(("n", file("old")))
    left, right = flock.nodes
    left.write("n", file("left"))
    left.step()
    left.disk["n"] = replace(left.disk["n"], mode=0o755)
    right.write("n", file("right"))
    assert set(settled(flock).values()) == {file("left").root, file("right").root}


def test_a_file_where_another_filled_a_directory_becomes_a_copy() -> None:
    flock = flock_with()
    flock.nodes[0].write("p", file("a file"))
    flock.nodes[1].write("p/q", file("below"))
    shown = settled(flock)
    (copy,) = copies(shown)
    assert shown == {"p": b"", "p/q": file("below").root, copy: file("a file").root}
    flock.nodes[0].delete("p")
    assert settled(flock) == {"p": file("a file").root}, "nothing is in its way any more"


def test_a_directory_replaced_by_a_file_and_filled_elsewhere() -> None:
    flock = flock_with(("p/q", file("old")))
    flock.nodes[0].write("p", file("a file"))
    flock.nodes[1].write("p/new", file("new"))
    shown = settled(flock)
    (copy,) = copies(shown)
    assert shown == {"p": b"", "p/new": file("new").root, copy: file("a file").root}


def test_a_directory_that_becomes_a_file_goes_with_all_that_is_in_it() -> None:
    flock = flock_with(("p/q/r", file("old")), ("p/s", file("older")))
    flock.nodes[0].write("p", file("a file"))
    assert settled(flock) == {"p": file("a file").root}
    kept = {entry.root for entry in flock.nodes[1].history}
    assert kept >= {file("old").root, file("older").root}


def test_a_directory_deleted_here_and_filled_there_keeps_what_is_new() -> None:
    flock = flock_with(("p/old", file("old")))
    flock.nodes[0].delete("p")
    flock.nodes[1].write("p/new", file("new"))
    assert settled(flock) == {"p": b"", "p/new": file("new").root}
    flock.nodes[0].delete("p/new")
    assert settled(flock) == {}, "the directory was only there for what was in it"


def test_rename_against_rename_gives_both() -> None:
    flock = flock_with(("n", file("x")))
    flock.nodes[0].move("n", "left")
    flock.nodes[1].move("n", "right")
    assert settled(flock) == {"left": file("x").root, "right": file("x").root}


def test_rename_against_edit_gives_both() -> None:
    flock = flock_with(("n", file("x")))
    flock.nodes[0].move("n", "m")
    flock.nodes[1].write("n", file("y"))
    assert settled(flock) == {"m": file("x").root, "n": file("y").root}


def test_a_rename_needs_no_data() -> None:
    flock = flock_with(("d/n", file("x")))
    left, right = flock.nodes
    left.move("d", "e")
    left.step()
    flock.collect()
    touched = set()
    for path, state in flock.queues[1]:
        right.receive(path, state)
        touched.add(path)
    operations = right.plan(touched)
    (put,) = [operation for operation in operations if isinstance(operation, PutFile)]
    assert (put.path, put.source) == ("e/n", "d/n")
    order = [operation.path for operation in operations]
    assert order == ["e", "e/n", "d/n", "d"]


def conflict() -> tuple[Flock, str, bytes, bytes]:
    """A flock of three with a conflict at n: the copy's path, the winner's and the loser's root."""
    flock = flock_with(("n", file("old")), nodes=3)
    flock.nodes[0].write("n", file("left"))
    flock.nodes[1].write("n", file("right"))
    shown = settled(flock)
    (copy,) = copies(shown)
    return flock, copy, shown["n"], shown[copy]


def test_a_deleted_copy_stays_deleted() -> None:
    flock, copy, winner, _ = conflict()
    flock.nodes[2].delete(copy)
    assert settled(flock) == {"n": winner}


def test_a_copy_put_away_for_two_reasons_makes_two_versions() -> None:
    """Were they one, only who made it would know whether the content was to be kept."""
    flock, copy, _, _ = conflict()
    left, right = flock.nodes[:2]
    left.write("n", left.disk[copy])
    left.delete(copy)
    right.delete(copy)
    made = []
    for node in (left, right):
        before = node.trees.flock("n")
        node.step()
        after = node.trees.flock("n")
        assert before is not None and after is not None
        made.append(
            {
                name
                for name in after.heads.keys() - before.heads.keys()
                if after.heads[name].kind is Kind.TOMBSTONE
            }
        )
    assert all(made)
    assert not made[0] & made[1]
    settled(flock)


def test_an_edited_copy_is_a_file_of_its_own() -> None:
    flock, copy, winner, _ = conflict()
    flock.nodes[2].write(copy, file("edited"))
    assert settled(flock) == {"n": winner, copy: file("edited").root}
    flock.nodes[0].delete(copy)
    assert settled(flock) == {"n": winner}


def test_a_copy_edited_by_two_conflicts_as_any_file_does() -> None:
    flock, copy, winner, _ = conflict()
    flock.nodes[0].write(copy, file("one"))
    flock.nodes[1].write(copy, file("two"))
    assert set(settled(flock).values()) == {winner, file("one").root, file("two").root}


def test_an_edit_of_the_owner_leaves_the_copy() -> None:
    flock, copy, _, loser = conflict()
    flock.nodes[2].write("n", file("new"))
    assert settled(flock) == {"n": file("new").root, copy: loser}


def test_when_the_owner_is_deleted_the_copy_takes_its_place() -> None:
    flock, _, _, loser = conflict()
    flock.nodes[2].delete("n")
    assert settled(flock) == {"n": loser}


def test_owner_and_copy_deleted_by_two_are_both_gone() -> None:
    flock, copy, _, _ = conflict()
    flock.nodes[0].delete("n")
    flock.nodes[1].delete(copy)
    assert settled(flock) == {}


def test_owner_and_copy_deleted_by_one_are_both_gone() -> None:
    flock, copy, _, _ = conflict()
    flock.nodes[0].delete("n")
    flock.nodes[0].delete(copy)
    assert settled(flock) == {}


def test_a_copy_moved_over_its_owner_is_what_stands_there() -> None:
    flock, copy, _, loser = conflict()
    flock.nodes[1].move(copy, "n")
    assert settled(flock) == {"n": loser}


def test_a_copy_moved_over_its_owner_survives_the_owners_delete() -> None:
    """The delete has arrived and is not applied: the copy has become the winner meanwhile."""
    flock, copy, _, loser = conflict()
    left, right = flock.nodes[:2]
    left.delete("n")
    left.step()
    flock.collect()
    for path, state in flock.queues[1]:
        right.receive(path, state)
    right.move(copy, "n")
    assert settled(flock) == {"n": loser}


def test_deleting_a_copy_spares_the_same_content_that_won_meanwhile() -> None:
    flock, copy, winner, loser = conflict()
    left, right = flock.nodes[:2]
    for text in ("a", "b"):  # two more edits, so that it wins
        left.write("n", file(text))
        left.step()
    (entry,) = (entry for entry in right.disk.values() if entry.root == loser)
    left.write("n", entry)
    left.step()
    flock.collect()
    for path, state in flock.queues[1]:
        right.receive(path, state)  # arrived, not applied
    right.delete(copy)
    assert settled(flock) == {"n": loser}
    assert winner != loser


def test_a_hidden_head_goes_without_being_called_replaced() -> None:
    """Of two equal losers one shows as the copy. Whoever edits the owner supersedes the other,
    which must not take the copy's content out of sight."""
    flock = Flock([Node() for _ in range(3)])
    for node, text, seconds in zip(flock.nodes, ("x", "x", "y"), (1, 2, 3), strict=True):
        node.write("n", file("old"))
        node.step()
        for content in ("older", text) if text == "y" else (text,):  # so that this one wins
            node.write("n", file(content, mtime_ns=seconds * 10**9))
            node.step()
    shown = settled(flock)
    assert set(shown.values()) == {file("x").root, file("y").root}
    assert shown["n"] == file("y").root
    flock.nodes[0].write("n", file("new"))
    shown = settled(flock)
    assert set(shown.values()) == {file("new").root, file("x").root}


def test_a_copy_that_became_the_winner_is_not_renamed_away() -> None:
    """Should its removal be left out, its absence would read as put away."""
    flock, copy, _, loser = conflict()
    left, right = flock.nodes[:2]
    left.delete("n")
    left.step()
    flock.collect()
    for path, state in flock.queues[1]:
        right.receive(path, state)
    operations = right.plan({"n"})
    assert {operation.path for operation in operations} == {"n", copy}
    assert all(
        operation.source is None for operation in operations if isinstance(operation, PutFile)
    )
    assert settled(flock) == {"n": loser}


def test_a_real_file_of_the_copys_name_makes_the_copy_step_aside() -> None:
    flock, copy, winner, loser = conflict()
    newcomer = Node()
    newcomer.write(copy, file("mine"))
    flock.nodes.append(newcomer)
    flock.queues.append([])
    for path, state in flock.nodes[0].trees.states.items():
        newcomer.receive(path, state)
    shown = settled(flock)
    assert shown["n"] == winner
    assert shown[copy] == file("mine").root
    assert loser in shown.values()
    assert len(shown) == 3


def test_inside_a_repository_the_loser_goes_to_the_history() -> None:
    flock = flock_with((".git/refs/x", file("old")))
    for node, text in zip(flock.nodes, ("left", "right"), strict=True):
        node.write(".git/refs/x", file(text))
    shown = settled(flock)
    assert not copies(shown)
    assert len([root for root in shown.values() if root]) == 1
    kept = {entry.root for node in flock.nodes for entry in node.history}
    assert kept & {file("left").root, file("right").root}


def test_an_arrived_version_is_not_superseded_unseen() -> None:
    """The parents of a local change are what this disk showed, not what has arrived."""
    flock = flock_with(("n", file("old")))
    left, right = flock.nodes
    left.write("n", file("left"))
    left.step()
    flock.collect()
    for path, state in flock.queues[1]:
        right.receive(path, state)  # arrived, not applied
    right.write("n", file("right"))
    assert set(settled(flock).values()) == {file("left").root, file("right").root}


def test_a_new_file_where_another_has_arrived_is_a_conflict() -> None:
    flock = flock_with()
    left, right = flock.nodes
    left.write("n", file("left"))
    left.step()
    flock.collect()
    for path, state in flock.queues[1]:
        right.receive(path, state)
    right.write("n", file("right"))
    dirty = right.scan()
    assert not right.plan({"n"}), "nothing is done before the change has its version"
    (operation,) = right.engine.commit_local(right.trees, dirty, right.capabilities)
    assert isinstance(operation, Record)
    assert operation.version.parents == ()
    assert len(set(settled(flock).values())) == 2


def test_the_same_new_file_on_two_disks_makes_one_version() -> None:
    flock = flock_with()
    for number, node in enumerate(flock.nodes):
        node.write("d/n", file("same", mtime_ns=number * 10**9))
    assert settled(flock) == {"d": b"", "d/n": file("same").root}


def test_what_is_not_held_is_neither_read_nor_written() -> None:
    flock = flock_with(("big/a", file("x")), ("n", file("y")))
    left, right = flock.nodes
    right.held = lambda path: "not selected" if path.split("/")[0] == "big" else None
    right.delete("big")
    right.step()
    assert right.outgoing == [], "absence is not a deletion"
    operations = right.plan(right.everything())
    assert {operation.path for operation in operations if isinstance(operation, Hold)} == {
        "big",
        "big/a",
    }
    left.write("big/a", file("z"))
    flock.settle()
    assert right.disk.keys() == {"n"}
    right.held = None
    right.adopt()
    assert settled(flock) == {"big": b"", "big/a": file("z").root, "n": file("y").root}


def test_a_directory_with_something_of_its_own_stays() -> None:
    flock = flock_with(("d/n", file("x")))
    left, right = flock.nodes
    right.held = lambda path: "ignored" if path == "d/cache" else None
    right.write("d/cache", file("private"))
    left.delete("d")
    flock.settle()
    assert right.disk.keys() == {"d", "d/cache"}
    assert [op for op in right.plan({"d"}) if isinstance(op, Hold) and op.path == "d"]
    right.delete("d/cache")
    right.pending.add("d/cache")
    right.step()
    assert right.disk == {}


def test_ignored_symlinks_are_left_alone() -> None:
    flock = flock_with(("link", symlink("target")), ("n", file("x")))
    right = flock.nodes[1]
    right.ignore_symlinks = True
    right.trees.locals.pop("link")
    assert right.commit({"link"}) == set(), "a symlink that is not looked at is not deleted"
    flock.nodes[0].write("link2", symlink("other"))
    flock.settle()
    assert "link2" not in right.disk


def test_a_disk_without_symlinks_says_so() -> None:
    flock = Flock([Node(), Node(Capabilities(symlinks=False))])
    flock.nodes[0].write("link", symlink("target"))
    flock.settle()
    right = flock.nodes[1]
    assert right.disk == {}
    (hold,) = right.plan({"link"})
    assert isinstance(hold, Hold)
    assert "symbolic" in hold.reason
    right.scan()
    assert right.commit({"link"}) == set()


def test_a_time_beyond_the_first_of_a_disk_is_no_change_and_told_by_nobody() -> None:
    flock = Flock([Node(), Node(Capabilities(earliest_mtime_ns=10**18))])
    left, right = flock.nodes
    left.write("n", file("x", mtime_ns=5))
    flock.settle()
    assert right.disk["n"].mtime_ns == 10**18
    flock.check(equal_disks=False)
    right.write("n", replace(right.disk["n"], mode=0o600))
    flock.settle()
    assert (left.disk["n"].mode, left.disk["n"].mtime_ns) == (0o600, 5)
    right.write("n", file("y", mtime_ns=10**18))
    assert settled(flock) == {"n": file("y").root}
    assert left.disk["n"].mtime_ns == 10**18, "an edit has the time that it has"


def test_a_file_too_large_for_a_disk_is_held_back_there() -> None:
    flock = Flock([Node(), Node(Capabilities(max_file_bytes=4))])
    left, right = flock.nodes
    for path, text in (("new", "large"), ("grown", "old"), ("fits", "four")):
        left.write(path, file(text))
    flock.settle()
    left.write("grown", file("larger"))
    flock.settle()
    assert {path: entry.size for path, entry in right.disk.items()} == {"grown": 3, "fits": 4}
    holds = right.plan({"new", "grown", "fits"})
    assert [hold.path for hold in holds] == ["grown", "new"]
    assert isinstance(holds[0], Hold) and "a file of 6 bytes" in holds[0].reason
    assert right.commit(right.everything()) == set(), "what is absent is not deleted"
    left.write("grown", file("cut"))
    left.delete("new")
    assert settled(flock).keys() == {"grown", "fits"}
    assert right.plan(right.everything()) == []


def test_what_a_poor_disk_cannot_hold_is_no_change() -> None:
    flock = Flock([Node(), Node(EXFAT)])
    flock.nodes[0].write("n", file("x", 0o600, mtime_ns=1_999_999_999))
    flock.settle()
    before = dict(flock.nodes[0].trees.states)
    assert flock.nodes[1].disk["n"].mtime_ns == 0
    flock.nodes[1].write("n", replace(flock.nodes[1].disk["n"], mode=0o700))
    flock.settle()
    assert flock.nodes[0].trees.states == before
    flock.nodes[1].write("n", file("y", mtime_ns=4 * 10**9))
    flock.settle()
    assert flock.nodes[0].disk["n"].mode == 0o600, "the mode that was there before stays"


@pytest.mark.parametrize(
    ("what", "here", "expected"),
    [
        ("the head", "two", {"n": "two"}),
        ("an old content", "one", {"n": "two"}),
        ("nothing", None, {"n": "two"}),
        ("something else", "three", {"n": None, "copy": None}),
    ],
)
def test_adopt(what: str, here: str | None, expected: dict[str, str | None]) -> None:
    flock = flock_with(("n", file("one")))
    flock.nodes[0].write("n", file("two"))
    settled(flock)
    returned = Node()  # its index was lost, its disk was not
    if here is not None:
        returned.write("n", file(here))
    flock.nodes.append(returned)
    flock.queues.append([])
    for path, state in flock.nodes[0].trees.states.items():
        returned.receive(path, state)
    returned.scan()
    returned.adopt()
    assert bool(returned.outgoing) is (len(expected) > 1), "only what is new is said"
    assert not any(isinstance(operation, Remove) for operation in returned.plan({"n"})), what
    shown = settled(flock)
    assert len(shown) == len(expected)
    if len(expected) == 1:
        assert shown == {"n": file("two").root}
    else:
        assert set(shown.values()) == {file("two").root, file("three").root}


def test_adopt_does_not_bring_back_what_was_deleted() -> None:
    flock = flock_with(("d/n", file("one")))
    old = dict(flock.nodes[1].disk)
    flock.nodes[0].delete("d")
    settled(flock)
    returned = flock.nodes[1]
    returned.disk = old  # an old backup was put back
    returned.write("d/mine", file("mine"))
    returned.trees.synceds.clear()
    returned.scan()
    returned.adopt()
    assert settled(flock) == {"d": b"", "d/mine": file("mine").root}
    assert file("one").root in {entry.root for entry in returned.history}


def test_adopt_knows_a_copy_that_was_put_away_meanwhile() -> None:
    flock, copy, winner, _ = conflict()
    old = dict(flock.nodes[2].disk)
    flock.nodes[0].delete(copy)
    settled(flock)
    returned = flock.nodes[2]
    returned.disk = old
    returned.trees.synceds.clear()
    returned.scan()
    returned.adopt()
    assert settled(flock) == {"n": winner}


def test_a_flock_tree_that_knows_nothing_deletes_nothing() -> None:
    flock = flock_with(("n", file("x")))
    node = flock.nodes[0]
    node.trees.states.clear()
    assert node.plan({"n"}) == []


def test_a_path_below_a_local_change_waits_for_it() -> None:
    flock = flock_with(("p", DIRECTORY))
    left, right = flock.nodes
    left.write("p/q", file("below"))
    left.step()
    flock.collect()
    for path, state in flock.queues[1]:
        right.receive(path, state)
    right.write("p", file("a file"))
    right.scan()
    assert right.plan({"p/q"}) == []
    settled(flock)


def test_more_parents_than_a_record_names_are_superseded_all_the_same() -> None:
    flock = Flock([Node() for _ in range(7)])
    for number, node in enumerate(flock.nodes):
        node.write("n", file("same", mtime_ns=number * 10**9))
        node.step()
    flock.settle()
    assert len(flock.nodes[0].trees.states["n"].heads) == 7
    flock.nodes[3].write("n", file("new"))
    assert settled(flock) == {"n": file("new").root}
    (head,) = flock.nodes[0].trees.states["n"].heads.values()
    assert len(head.parents) == 4
    assert head.kind is Kind.FILE


def test_acknowledging_keeps_the_stat_fields() -> None:
    """Equal heads of two makers: only what is remembered changes, not what was read back."""
    flock = flock_with()
    for number, node in enumerate(flock.nodes):
        node.write("n", replace(file("x"), mode=0o600 + number, inode=7, ctime_ns=8))
        node.step()
    flock.settle()
    flock.check()
    for node in flock.nodes:
        synced = node.trees.synceds["n"]
        assert len(synced.heads) == 2
    assert sum(node.trees.synceds["n"].disk.inode == 7 for node in flock.nodes) == 1  # type: ignore[union-attr]  # it is there


def test_what_was_put_in_place_of_a_directory_stays_while_the_rest_is_recorded() -> None:
    """The file has its version, what was in the directory has no tombstone yet: to the flock it is
    a directory still, but nobody here is to get it back."""
    flock = flock_with(("d/n", file("x")))
    left = flock.nodes[0]
    left.write("d", file("a file"))
    left.scan()
    left.commit({"d"})
    assert left.plan({"d", "d/n"}) == []
    assert settled(flock) == {"d": file("a file").root}
    assert file("a file").root not in {entry.root for entry in left.history}


def test_a_directory_that_was_emptied_does_not_come_back_while_the_rest_is_recorded() -> None:
    flock = flock_with(("d/n", file("x")))
    left = flock.nodes[0]
    left.delete("d")
    left.scan()
    left.commit({"d"})
    assert left.plan({"d", "d/n"}) == []
    assert settled(flock) == {}


def test_a_new_directory_goes_out_with_the_first_that_is_in_it() -> None:
    """Else it would only be implied, and go when that goes."""
    flock = flock_with()
    left = flock.nodes[0]
    left.write("d", replace(DIRECTORY, mode=0o700))
    left.write("d/n", file("x"))
    left.scan()
    assert left.commit({"d/n"}) == {"d", "d/n"}
    left.delete("d/n")
    assert settled(flock) == {"d": b""}
    assert flock.nodes[1].disk["d"].mode == 0o700


def test_a_directory_made_where_one_is_implied_is_somebodys() -> None:
    flock = flock_with(("d/n", file("x")))
    left, right = flock.nodes
    left.delete("d")
    right.write("d/n", file("y"))
    settled(flock)  # implied by what lives in it
    newcomer = Node()
    newcomer.write("d", replace(DIRECTORY, mode=0o700))
    flock.nodes.append(newcomer)
    flock.queues.append([])
    flock.reconcile()
    settled(flock)
    assert left.disk["d"].mode == 0o700
    left.delete("d/n")
    assert settled(flock) == {"d": b""}


def test_a_file_that_becomes_a_directory_is_replaced_whatever_is_recorded_first() -> None:
    flock = flock_with(("p", file("old")))
    left = flock.nodes[0]
    left.write("p/q", file("below"))
    left.scan({"p/q"})  # the scan of p comes later
    left.commit({"p/q"})
    left.scan()
    assert settled(flock) == {"p": b"", "p/q": file("below").root}


def test_what_others_put_aside_is_replaced_by_who_does_what_they_did() -> None:
    """Their edit has won against ours and is not applied yet; somebody makes the same of ours."""
    flock = flock_with(("n", file("old")))
    left, right = flock.nodes
    for text in ("one", "theirs"):
        left.write("n", file(text))
        left.step()
    right.write("n", file("ours"))
    right.step()
    flock.hear(1)
    right.write("n", file("theirs"))
    assert settled(flock) == {"n": file("theirs").root}


def test_a_replaced_content_that_somebody_else_made_as_well_is_no_copy() -> None:
    flock = flock_with(("n", file("old")))
    left, right = flock.nodes
    left.write("n", file("same"))
    left.step()
    left.write("n", file("new"))
    left.step()
    right.write("n", file("same", mtime_ns=5 * 10**9))
    assert settled(flock) == {"n": file("new").root}


def test_a_change_counts_on_from_what_this_disk_showed() -> None:
    """Its parent has been superseded by something that has arrived and is not applied."""
    flock = flock_with(("n", file("old")))
    left, right = flock.nodes
    for text in ("two", "three"):
        left.write("n", file(text))
        left.step()
    settled(flock)
    left.write("n", file("four"))
    left.step()
    flock.hear(1)
    right.write("n", file("ours"))
    dirty = right.scan()
    (operation,) = right.engine.commit_local(right.trees, dirty, right.capabilities)
    assert isinstance(operation, Record)
    assert operation.version.generation == 4


def test_deleting_a_copy_puts_away_all_that_are_equal() -> None:
    flock = Flock([Node() for _ in range(3)])
    texts = ("lost", "lost", "won")
    for number, (node, text) in enumerate(zip(flock.nodes, texts, strict=True)):
        for made in ["before", text] if text == "won" else [text]:
            node.write("n", file(made, mtime_ns=number * 10**9))
            node.step()
    shown = settled(flock)
    (copy,) = copies(shown)
    flock.nodes[2].delete(copy)
    assert settled(flock) == {"n": file("won").root}
    flock.nodes[0].delete("n")
    assert settled(flock) == {}


def test_a_copy_moved_over_its_owner_conflicts_as_any_edit_does() -> None:
    flock, copy, _, loser = conflict()
    left, right = flock.nodes[:2]
    right.move(copy, "n")
    for text in ("newer", "newest"):
        left.write("n", file(text))
        left.step()
    assert set(settled(flock).values()) == {file("newest").root, loser}


def test_an_implied_directory_that_goes_gets_no_tombstone() -> None:
    flock = flock_with(("d/n", file("x")))
    flock.nodes[0].delete("d")
    flock.nodes[1].write("d/n", file("y"))
    settled(flock)
    before = flock.nodes[1].trees.states["d"]
    flock.nodes[1].delete("d")
    assert settled(flock) == {}
    assert flock.nodes[1].trees.states["d"] == before


def test_what_lies_in_a_directory_that_goes_is_planned_with_it() -> None:
    flock = flock_with(("d/n", file("x")))
    left, right = flock.nodes
    left.delete("d")
    left.step()
    flock.hear(1)
    assert [operation.path for operation in right.plan({"d"})] == ["d/n", "d"]


def test_a_directory_with_something_of_its_own_becomes_no_file() -> None:
    flock = flock_with(("d/n", file("x")))
    left, right = flock.nodes
    right.held = lambda path: "ignored" if path == "d/cache" else None
    right.write("d/cache", file("private"))
    left.write("d", file("a file"))
    flock.settle()
    assert right.disk.keys() == {"d", "d/cache"}


def test_what_is_not_held_is_not_brought_up_to_date() -> None:
    flock = flock_with(("big/a", file("x")))
    left, right = flock.nodes
    right.held = lambda path: "not selected" if path.split("/")[0] == "big" else None
    left.write("big/a", file("y"))
    flock.settle()
    assert right.disk["big/a"].root == file("x").root


def test_two_that_have_the_content_of_one_that_goes_do_not_both_take_it() -> None:
    flock = flock_with(("n", file("x")))
    left, right = flock.nodes
    left.delete("n")
    for name in ("a", "b"):
        left.write(name, file("x"))
    left.step()
    flock.hear(1)
    sources = [one.source for one in right.plan({"n", "a", "b"}) if isinstance(one, PutFile)]
    assert sources == ["n", None]
    assert settled(flock) == {"a": file("x").root, "b": file("x").root}


def test_what_waited_for_a_directory_comes_when_somebody_has_made_it() -> None:
    """A file that is not recorded yet is in the way; then its owner makes the directory instead."""
    flock = flock_with()
    left, right = flock.nodes
    left.write("d/e/n", file("x"))
    left.step()
    flock.hear(1)
    right.write("d", file("in the way"))
    right.scan()
    assert right.plan(right.pending) == []
    right.pending.clear()
    flock.queues[1].clear()
    right.delete("d")
    right.write("d", DIRECTORY)
    assert settled(flock) == {"d": b"", "d/e": b"", "d/e/n": file("x").root}
