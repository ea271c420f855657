"""A member that only sends what lies below one directory, among others that sync it."""

from __future__ import annotations

from collections.abc import Iterable

from flocksy.sync.commit import commit_local
from flocksy.sync.operations import Hold, Record
from tests.sync.flock_in_memory import DIRECTORY, Node, file
from tests.sync.lives import Flock

REASON = "this node only sends it"


def held(path: str) -> str | None:
    return REASON if path == "d" or path.startswith("d/") else None


class Sender(Node):
    """Sends what is in `d`, and never writes there."""

    def __init__(self) -> None:
        super().__init__(held=held)

    def commit(self, paths: Iterable[str]) -> set[str]:
        return self.learn(
            commit_local(
                self.trees, paths, self.capabilities, sends_only=lambda path: held(path) is not None
            )
        )


def flock_with_sender() -> tuple[Flock, Sender, Node]:
    sender, other = Sender(), Node()
    flock = Flock([sender, other])
    sender.write("d", DIRECTORY)
    sender.write("d/f", file("old"))
    flock.settle()
    assert other.contents() == sender.contents()
    return flock, sender, other


def test_what_others_change_is_held() -> None:
    flock, sender, other = flock_with_sender()
    other.write("d/f", file("new"))
    other.write("d/g", file("more"))
    flock.settle()
    assert sender.disk["d/f"].root == file("old").root
    assert set(sender.plan({"d/f", "d/g"})) == {Hold("d/f", REASON), Hold("d/g", REASON)}


def test_what_others_delete_is_held() -> None:
    flock, sender, other = flock_with_sender()
    other.delete("d")
    flock.settle()
    assert set(sender.disk) == {"d", "d/f"}
    assert set(sender.plan({"d", "d/f"})) == {Hold("d", REASON), Hold("d/f", REASON)}
    assert other.disk == {}


def test_a_change_takes_the_place_of_all_that_is_known() -> None:
    flock, sender, other = flock_with_sender()
    for content in ("one", "two", "three"):
        other.write("d/f", file(f"other {content}"))
        flock.settle()
        sender.write("d/f", file(f"sender {content}"))
        flock.settle()
        assert other.contents() == sender.contents()
    assert set(other.disk) == {"d", "d/f"}, "no conflict copy"


def test_a_deletion_does_too() -> None:
    flock, sender, other = flock_with_sender()
    other.write("d/f", file("new"))
    flock.settle()
    sender.delete("d/f")
    flock.settle()
    assert set(other.disk) == {"d"}


def test_a_chmod_over_content_not_seen_is_a_change_of_content() -> None:
    flock, sender, other = flock_with_sender()
    other.write("d/f", file("new"))
    flock.settle()
    sender.write("d/f", file("old", 0o600))
    sender.scan()
    operations = commit_local(sender.trees, ["d/f"], sender.capabilities, sends_only=lambda _: True)
    (record,) = operations
    assert isinstance(record, Record)
    assert not record.version.metadata_only
    flock.settle()
    assert other.contents() == sender.contents()


def test_what_is_concurrent_still_shows_beside() -> None:
    flock, sender, other = flock_with_sender()
    other.write("d/f", file("new"))
    sender.write("d/f", file("newer"))
    flock.settle()
    assert sender.disk["d/f"].root == file("newer").root
    roots = {entry.root for path, entry in other.disk.items() if path != "d"}
    assert roots == {file("new").root, file("newer").root}
