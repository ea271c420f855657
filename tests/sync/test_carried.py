"""Scenes with extended attributes between members who want them and others."""

from __future__ import annotations

from dataclasses import replace

import pytest

from flocksy.sync.attributes import decode_attributes, encode_attributes
from flocksy.sync.capabilities import Capabilities
from flocksy.sync.operations import Acknowledge, SetMetadata
from flocksy.sync.trees import DiskEntry
from flocksy.sync.undo import restored
from flocksy.sync.version import Version
from tests.sync.flock_in_memory import Node, file
from tests.sync.lives import Flock

WANTING = Capabilities(attributes=True)


def blob(**attributes: str) -> bytes:
    return encode_attributes({key.encode(): value.encode() for key, value in attributes.items()})


RED, BLUE, RATED = blob(tag="red"), blob(tag="blue"), blob(rating="5")


def tag(node: Node, path: str, attributes: bytes) -> None:
    """As a person does, whoever asks for them."""
    node.disk[path] = replace(node.disk[path], attributes=attributes)


def write_in_place(node: Node, path: str, entry: DiskEntry) -> None:
    node.disk[path] = replace(entry, attributes=node.disk[path].attributes)


def heads(node: Node, path: str) -> list[Version]:
    state = node.trees.states[path]
    return list(state.heads.values())


def settled(flock: Flock) -> None:
    flock.settle()
    flock.check()


def tagged_flock() -> Flock:
    """Two who want them and one who does not, all with a tagged file."""
    made = Flock([Node(WANTING), Node(WANTING), Node()])
    made.nodes[0].write("f", replace(file("text"), attributes=RED))
    settled(made)
    return made


def test_they_come_with_the_file() -> None:
    flock = tagged_flock()
    first, second, third = flock.nodes
    assert first.attributes() == second.attributes() == {"f": RED}
    assert not third.attributes()


def test_a_file_without_any_has_the_record_it_always_had() -> None:
    wanting, other = (Flock([Node(how)]) for how in (WANTING, Capabilities()))
    for flock in (wanting, other):
        flock.nodes[0].write("f", file("text"))
        settled(flock)
    assert heads(wanting.nodes[0], "f") == heads(other.nodes[0], "f")


def test_a_change_of_them_is_one_of_metadata() -> None:
    flock = tagged_flock()
    first, second, third = flock.nodes
    tag(second, "f", BLUE)
    settled(flock)
    assert first.attributes() == {"f": BLUE}
    (head,) = heads(third, "f")
    assert head.metadata_only and head.generation == 2
    assert first.history == third.history == [], "no content is replaced"
    tag(first, "f", b"")
    settled(flock)
    assert not second.attributes()
    (head,) = heads(third, "f")
    assert head.attributes == b"" and head.generation == 3


@pytest.mark.parametrize(("in_place",), [(False,), (True,)])
def test_who_does_not_want_them_takes_none_by_an_edit(in_place: bool) -> None:
    flock = tagged_flock()
    first, _, third = flock.nodes
    (write_in_place if in_place else Node.write)(third, "f", file("edited"))
    settled(flock)
    assert first.attributes() == {"f": RED}
    third.disk["f"] = replace(third.disk["f"], mode=0o600)
    settled(flock)
    assert first.attributes() == {"f": RED}
    assert first.disk["f"].mode == 0o600


def test_nor_by_a_rename_of_a_file_or_its_directory() -> None:
    flock = tagged_flock()
    first, _, third = flock.nodes
    third.move("f", "d/f")
    settled(flock)
    assert first.attributes() == {"d/f": RED}
    third.move("d", "e")
    settled(flock)
    assert first.attributes() == {"e/f": RED}


def test_nor_by_an_edit_of_what_it_has_not_yet_heard_is_tagged_otherwise() -> None:
    flock = tagged_flock()
    first, second, third = flock.nodes
    tag(first, "f", BLUE)
    first.step()
    flock.hear(2)  # and has not applied it
    third.write("f", file("edited"))
    settled(flock)
    assert first.attributes() == second.attributes() == {"f": BLUE}
    assert set(first.disk) == {"f"}


def test_what_two_set_at_the_same_time_ends_equal_without_a_copy() -> None:
    flock = tagged_flock()
    first, second, _ = flock.nodes
    tag(first, "f", BLUE)
    tag(second, "f", RATED)
    settled(flock)
    assert first.attributes() == second.attributes()
    assert first.attributes()["f"] in (BLUE, RATED)
    assert set(first.disk) == {"f"}


def test_an_edit_and_a_tag_at_the_same_time_leave_the_edit() -> None:
    flock = tagged_flock()
    first, second, _ = flock.nodes
    tag(first, "f", BLUE)
    write_in_place(second, "f", file("edited"))
    first.step()
    second.step()
    settled(flock)
    assert first.attributes() == {"f": RED}, "as with a chmod"
    assert set(first.disk) == {"f"}


def test_who_begins_to_want_them_gets_and_adds_some() -> None:
    flock = tagged_flock()
    first, _, third = flock.nodes
    tag(third, "f", RATED)
    third.write("g", replace(file("own"), attributes=BLUE))
    settled(flock)
    assert first.attributes() == {"f": RED}
    third.want_attributes(True)
    third.changed |= third.everything()
    third.pending |= third.everything()
    settled(flock)
    assert decode_attributes(first.attributes()["f"]) == {b"tag": b"red", b"rating": b"5"}
    assert first.attributes() == third.attributes()
    assert first.attributes()["g"] == BLUE
    (head,) = heads(first, "f")
    assert head.generation == 2, "one version tells of it"


def test_who_begins_to_want_them_without_any_only_gets_some() -> None:
    flock = tagged_flock()
    third = flock.nodes[2]
    third.want_attributes(True)
    third.changed |= third.everything()
    third.pending |= third.everything()
    settled(flock)
    assert third.attributes() == {"f": RED}
    (head,) = heads(third, "f")
    assert head.generation == 1, "nothing is told"


def test_who_begins_to_want_them_and_has_the_same_tells_nothing() -> None:
    flock = tagged_flock()
    third = flock.nodes[2]
    tag(third, "f", RED)
    third.want_attributes(True)
    third.changed |= third.everything()
    third.pending |= third.everything()
    settled(flock)
    (head,) = heads(third, "f")
    assert head.generation == 1


def test_all_begin_to_want_what_they_had_before() -> None:
    flock = Flock([Node() for _ in range(3)])
    flock.nodes[0].write("f", file("text"))
    settled(flock)
    for node, attributes in zip(flock.nodes, (RED, BLUE, RATED), strict=True):
        tag(node, "f", attributes)
        node.want_attributes(True)
        node.changed |= node.everything()
        node.pending |= node.everything()
    settled(flock)
    (attributes,) = {node.attributes()["f"] for node in flock.nodes}
    assert attributes in (RED, BLUE, RATED)
    assert set(flock.nodes[0].disk) == {"f"}, "no copy"


def test_what_was_lost_while_nobody_asked_is_no_removal() -> None:
    flock = tagged_flock()
    first, second, _ = flock.nodes
    second.want_attributes(False)
    second.write("f", replace(file("text"), attributes=None))  # saved by a program that knows none
    settled(flock)
    second.want_attributes(True)
    second.changed |= second.everything()
    second.pending |= second.everything()
    settled(flock)
    assert first.attributes() == second.attributes() == {"f": RED}


def test_a_conflict_copy_has_those_of_its_version() -> None:
    flock = tagged_flock()
    first, second, third = flock.nodes
    first.write("f", replace(file("one"), attributes=BLUE))
    second.write("f", replace(file("two"), attributes=RATED))
    settled(flock)
    (copy,) = set(first.disk) - {"f"}
    found = {first.disk[path].root: first.attributes()[path] for path in ("f", copy)}
    assert found == {file("one").root: BLUE, file("two").root: RATED}
    # Edited where nobody asks for them it is a file of its own, with those it had.
    had = first.attributes()[copy]
    third.write(copy, file("three"))
    settled(flock)
    assert first.attributes()[copy] == had


def test_a_restored_version_brings_its_own() -> None:
    flock = tagged_flock()
    first, second, third = flock.nodes
    (old,) = heads(first, "f")
    second.write("f", replace(file("edited"), attributes=BLUE))
    settled(flock)
    third.learn([restored(third.trees, "f", old, third.trees.synced("f"))])
    settled(flock)
    assert first.attributes() == second.attributes() == {"f": RED}
    assert first.disk["f"].root == file("text").root


class Overfull(Node):
    """A member whose files have more than is synced."""

    def seen(self, path: str) -> DiskEntry | None:
        found = super().seen(path)
        return None if found is None else replace(found, attributes=None)


def test_more_than_is_synced_changes_nothing_for_the_others() -> None:
    flock = Flock([Node(WANTING), Overfull(WANTING)])
    first, second = flock.nodes
    first.write("f", replace(file("text"), attributes=RED))
    settled(flock)
    write_in_place(second, "f", file("edited"))
    settled(flock)
    assert first.attributes() == {"f": RED}
    assert first.disk["f"].root == file("edited").root


def test_what_a_disk_refuses_is_not_taken_from_the_others() -> None:
    """It stands there without them; somebody then tags the file, and edits it."""
    flock = tagged_flock()
    first, second, _ = flock.nodes
    tag(first, "f", BLUE)
    first.step()
    flock.hear(1)
    known, refused = second.plan({"f"})
    assert isinstance(known, Acknowledge) and isinstance(refused, SetMetadata)
    second.apply(known)
    tag(second, "f", encode_attributes({b"tag": b"red", b"rating": b"4"}))
    second.scan()
    second.commit({"f"})
    settled(flock)
    assert decode_attributes(first.attributes()["f"]) == {b"tag": b"blue", b"rating": b"4"}


@pytest.mark.parametrize(("receives_only",), [(False,), (True,)])
def test_a_disk_of_unknown_past_adds_and_loses_none(receives_only: bool) -> None:
    flock = Flock([Node(), Node(WANTING)])
    first, second = flock.nodes
    first.write("f", file("text"))
    first.step()
    flock.hear(1)
    second.write("f", replace(file("text", 0o600), attributes=RED))
    second.scan()
    operations = second.engine.adopt(second.trees, {"f"}, WANTING, receives_only=receives_only)
    second.learn(operations)
    if receives_only:
        local, synced = second.trees.local("f"), second.trees.synced("f")
        assert synced is not None
        assert not WANTING.same(local, synced.disk), "it is set aside"
        assert not second.plan({"f"}), "nothing is written over it"
        return
    settled(flock)
    (head,) = heads(first, "f")
    assert (head.attributes, head.mode) == (RED, 0o644), "other metadata is the flock's"
    assert second.attributes() == {"f": RED}
