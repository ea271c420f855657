"""Reconciliation: members that differ find out in what, for a price that follows the difference."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from flocksy.sync.messages import Items, Range, Ranges, decode, encode
from flocksy.sync.reconcile import FEW, MODULUS, item_hash, known_bytes, opening, path_key, respond

BOX = b"B" * 16


class Memory:
    """What one member's lanes have carried."""

    def __init__(self, heads: dict[str, list[bytes]]) -> None:
        self.heads = heads
        found = ((path_key(path), item_hash(path, names)) for path, names in heads.items())
        self.sorted = sorted(found)
        self.paths = {path_key(path): path for path in heads}

    def _inside(self, lower: bytes, upper: bytes) -> list[tuple[bytes, bytes]]:
        return [item for item in self.sorted if lower <= item[0] and (not upper or item[0] < upper)]

    def fingerprint(self, lower: bytes, upper: bytes) -> tuple[int, int]:
        inside = self._inside(lower, upper)
        return len(inside), sum(int.from_bytes(item, "big") for _, item in inside) % MODULUS

    def items(self, lower: bytes, upper: bytes, limit: int) -> Sequence[tuple[bytes, bytes]]:
        return self._inside(lower, upper)[:limit]


def reconcile(members: list[Memory]) -> tuple[list[set[str]], int]:
    """All hear all, as lanes do. Returns the paths that each member is to learn about, and the
    bytes that were said."""
    said = [(0, opening(BOX, members[0]))]
    offered: list[set[bytes]] = [set() for _ in members]
    wanted: list[set[bytes]] = [set() for _ in members]
    cost = 0
    for _ in range(20):
        if not said:
            break
        answers: list[tuple[int, Ranges | Items]] = []
        for speaker, message in said:
            raw = b"".join(encode(message))
            cost += len(raw)
            heard = decode(raw)
            assert isinstance(heard, Ranges | Items)
            for number, member in enumerate(members):
                if number != speaker:
                    response = respond(member, heard)
                    answers += ((number, answer) for answer in response.messages)
                    offered[number].update(response.offered)
                    wanted[number].update(response.wanted)
        said = answers
    assert not said, "it does not end"
    everything = {key: path for member in members for key, path in member.paths.items()}
    learned: list[set[str]] = []
    for number, member in enumerate(members):
        others = [keys for other, keys in enumerate(offered) if other != number]
        heard_of = set().union(*others) | wanted[number]
        own = dict(member.sorted)
        learned.append(
            {
                everything[key]
                for key in heard_of
                if own.get(key)
                not in [dict(other.sorted).get(key) for other in members if other is not member]
                or key not in own
            }
        )
    return learned, cost


def box(randomness: random.Random, count: int) -> dict[str, list[bytes]]:
    return {f"path {number}": [randomness.randbytes(16)] for number in range(count)}


@pytest.mark.parametrize(
    ("count", "changed", "missing", "extra"),
    [
        (0, 0, 0, 5),
        (3, 1, 1, 1),
        (100, 0, 0, 0),
        (1000, 1, 0, 0),
        (1000, 20, 30, 10),
        (300, 0, 300, 0),
    ],
)
def test_two_members_find_every_difference(
    count: int, changed: int, missing: int, extra: int
) -> None:
    randomness = random.Random(count + changed)
    ours = box(randomness, count)
    theirs = dict(ours)
    names = list(ours)
    randomness.shuffle(names)
    for name in names[:changed]:
        theirs[name] = [randomness.randbytes(16)]
    for name in names[changed : changed + missing]:
        del theirs[name]
    more = {f"more {number}": [randomness.randbytes(16)] for number in range(extra)}
    theirs |= more
    left, right = Memory(ours), Memory(theirs)
    for first, second in ((left, right), (right, left)):
        (first_learns, second_learns), _ = reconcile([first, second])
        differing = {
            name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name)
        }
        assert {name for name in differing if name in second.heads} <= first_learns
        assert {name for name in differing if name in first.heads} <= second_learns
        assert first_learns | second_learns <= differing


def test_equal_members_say_one_short_thing() -> None:
    member = Memory(box(random.Random(1), 500))
    assert respond(member, opening(BOX, member)).messages == ()
    _, cost = reconcile([member, member])
    assert cost < 100


def test_the_price_follows_the_difference_not_the_box() -> None:
    randomness = random.Random(2)
    prices = []
    for count in (500, 5000):
        ours = box(randomness, count)
        theirs = dict(ours) | {"path 7": [randomness.randbytes(16)]}
        learned, cost = reconcile([Memory(ours), Memory(theirs)])
        assert learned == [{"path 7"}, {"path 7"}]
        prices.append(cost)
    assert prices[1] < prices[0] + 16 * 80 + FEW * 48, "one more level at the most"


def test_three_members_that_differ_all_round() -> None:
    randomness = random.Random(3)
    common = box(randomness, 200)
    members = [Memory(common | {f"only {n}": [randomness.randbytes(16)]}) for n in range(3)]
    learned, _ = reconcile(members)
    for number, paths in enumerate(learned):
        assert {f"only {other}" for other in range(3) if other != number} <= paths


def test_known_bytes_follow_the_heads() -> None:
    heads = {"a": [b"1" * 16, b"2" * 16], "b": [b"3" * 16]}
    member = Memory(heads)
    known = known_bytes(BOX, member)
    assert len(known) == 32
    assert known[:8] == BOX[:8]
    assert known == known_bytes(BOX, Memory({"b": [b"3" * 16], "a": [b"2" * 16, b"1" * 16]}))
    assert known != known_bytes(BOX, Memory({"a": [b"1" * 16], "b": [b"3" * 16]}))


def test_a_range_of_one_key_is_cut_no_further() -> None:
    """A hostile count for the narrowest range must not loop."""
    key = path_key("a")
    after = (int.from_bytes(key, "big") + 1).to_bytes(16, "big")
    response = respond(Memory({"a": [b"1" * 16]}), Ranges(BOX, (Range(key, after, 10**9, 5),)))
    assert [type(message) for message in response.messages] == [Items]
