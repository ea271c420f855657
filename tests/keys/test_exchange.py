"""What comes, changes and goes: single refusals, and what holds whatever people do."""

from __future__ import annotations

import dataclasses
import datetime
import itertools

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from flocksy.errors import KeyFileError
from flocksy.keys.bundle import make_bundle
from flocksy.keys.exchange import (
    Change,
    importing,
    pardoning,
    removing,
    rotating,
    verifying,
)
from flocksy.keys.files import generate_pair
from flocksy.keys.fingerprint import fingerprint_hex
from flocksy.keys.pair import KeyPair, uid_of
from flocksy.keys.people import Known, Person, find_person, people
from flocksy.keys.register import MAX_FORMER_KEYS, Register, Trust, decode_register, encode_register
from flocksy.keys.rotation import Rotation, make_rotation
from flocksy.keys.samples import SAMPLE_PUBLIC_KEYS

TODAY = datetime.date(2026, 11, 21)
LATER = TODAY + datetime.timedelta(days=14)
OWN = generate_pair()
OWN_ENDPOINT = "tcp://anna.example:5000"
BEN, CLEO = generate_pair(), generate_pair()
NOBODY = Known({}, Register(), (OWN.public_key,), (OWN_ENDPOINT,), TODAY)


def after(known: Known, change: Change) -> Known:
    return dataclasses.replace(known, keystore=change.keystore, register=change.register)


def with_ben(trust: Trust = Trust.UNVERIFIED) -> Known:
    return after(NOBODY, importing(NOBODY, make_bundle(BEN, "ben", "ben.example:5000"), trust))


def test_our_address_of_before_is_anybodys() -> None:
    known = dataclasses.replace(NOBODY, keystore={"tcp://ben.example:5000": OWN.public_key})
    change = importing(known, make_bundle(BEN, "ben", "ben.example:5000"))
    assert change.replaces is None
    assert change.lines[0] == "ADDS ben at tcp://ben.example:5000"
    assert change.keystore["tcp://ben.example:5000"] == BEN.public_key


def test_the_one_that_is_meant() -> None:
    known = with_ben()
    known = after(known, importing(known, make_bundle(CLEO, "cleo", "cleo.example:5000")))
    digits = fingerprint_hex(BEN.public_key)
    for text in ("ben", "tcp://ben.example:5000", "ben.example:5000", digits, digits[:7].upper()):
        assert find_person(known, text).public_key == BEN.public_key
    for text in ("be", "", digits[:2], "anna"):
        with pytest.raises(KeyFileError, match="no member is called"):
            find_person(known, text)


def test_two_of_one_name_are_told_by_their_endpoints() -> None:
    keys = {"tcp://x.example:1": BEN.public_key, "tcp://y.example:1": CLEO.public_key}
    known = dataclasses.replace(NOBODY, keystore=keys)
    known = after(known, verifying(known, find_person(known, "tcp://x.example:1")))
    entries = [dataclasses.replace(one, name="same") for one in known.register.entries]
    other = dataclasses.replace(entries[0], public_key=CLEO.public_key)
    known = dataclasses.replace(known, register=Register((*entries, other)))
    with pytest.raises(KeyFileError, match=r"x\.example:1.*y\.example:1.*name the endpoint"):
        find_person(known, "same")


def test_a_line_by_hand_has_no_name_until_it_is_compared() -> None:
    known = dataclasses.replace(NOBODY, keystore={"tcp://ben.example:5000": BEN.public_key})
    (person,) = people(known)
    assert (person.name, person.trust) == ("tcp://ben.example:5000", Trust.UNVERIFIED)
    known = after(known, verifying(known, person))
    (person,) = people(known)
    assert (person.name, person.trust) == ("ben-example-5000", Trust.COMPARED)


@pytest.mark.parametrize("trust", [Trust.COMPARED, Trust.PAIRED])
def test_an_import_takes_no_trust_away_and_gives_none(trust: Trust) -> None:
    bundle = make_bundle(BEN, "ben", "ben.example:5000")
    known = with_ben(trust)
    again = importing(known, bundle)
    assert again.lines == ()
    assert again.register.entry(BEN.public_key).trust is trust  # type: ignore[union-attr]
    assert importing(with_ben(), bundle).register.entries[0].trust is Trust.UNVERIFIED
    paired = importing(with_ben(), bundle, Trust.PAIRED)
    assert paired.lines == ("MARKS ben as verified",)


def test_sample_keys_stay_on_this_machine() -> None:
    sample = next(iter(SAMPLE_PUBLIC_KEYS))
    bundle = make_bundle(BEN, "ben", "ben.example:5000")
    with pytest.raises(KeyFileError, match="sample key"):
        importing(NOBODY, dataclasses.replace(bundle, public_key=sample))
    near = dataclasses.replace(bundle, public_key=sample, endpoint="ipc:///run/ben")
    assert importing(NOBODY, near).keystore == {"ipc:///run/ben": sample}


@pytest.mark.parametrize("claimed", [OWN, CLEO])
def test_nobody_takes_anothers_uid(claimed: KeyPair) -> None:
    known = with_ben()
    known = after(known, importing(known, make_bundle(CLEO, "cleo", "cleo.example:5000")))
    bundle = make_bundle(generate_pair(), "eve", "eve.example:1", first_key=claimed.public_key)
    with pytest.raises(KeyFileError, match="another key here"):
        importing(known, bundle)


@pytest.mark.parametrize("trust", [Trust.UNVERIFIED, Trust.COMPARED])
def test_another_uid_of_a_known_key_is_shown(trust: Trust) -> None:
    """It makes another member of the one that all others see: its view is lost until they agree."""
    first = generate_pair().public_key
    later = make_bundle(BEN, "ben", "ben.example:5000", first_key=first)
    change = importing(with_ben(trust), later)
    assert [line.split(":")[0] for line in change.lines] == ["CHANGES the uid of ben"]
    assert change.register.uid(BEN.public_key) == uid_of(first)
    again = after(NOBODY, change)
    assert importing(again, later).lines == ()
    (back, *_) = importing(again, make_bundle(BEN, "ben", "ben.example:5000")).lines
    assert back.startswith("CHANGES the uid of ben")


def test_who_moves_leaves_anothers_line_alone() -> None:
    """Ben's first endpoint is Cleo's by now, and another line of his was there all the time."""
    known = with_ben()
    known = dataclasses.replace(
        known, keystore={**known.keystore, "tcp://ben.elsewhere:1": BEN.public_key}
    )
    known = after(known, importing(known, make_bundle(CLEO, "cleo", "ben.example:5000")))
    change = importing(known, make_bundle(BEN, "ben", "ben.example:6000"))
    assert change.lines == ("MOVES ben from tcp://ben.example:5000 to tcp://ben.example:6000",)
    assert change.fewer_nodes == ()
    assert change.keystore["tcp://ben.example:5000"] == CLEO.public_key


def test_announcements_that_are_not_for_us() -> None:
    new = generate_pair()
    ours = make_rotation(BEN, new, BEN.public_key, "ben", "ben.example:5000", LATER)
    with pytest.raises(KeyFileError, match="a key that nobody here has"):
        rotating(NOBODY, ours)
    known = with_ben()
    ended = make_rotation(
        BEN, new, BEN.public_key, "ben", "ben.example:5000", TODAY - datetime.timedelta(days=1)
    )
    with pytest.raises(KeyFileError, match="ended on 2026-11-20"):
        rotating(known, ended)
    stranger = make_rotation(BEN, new, CLEO.public_key, "ben", "ben.example:5000", LATER)
    with pytest.raises(KeyFileError, match="another member's key"):
        rotating(known, stranger)
    revoked = after(known, removing(known, find_person(known, "ben"), revoke=True))
    with pytest.raises(KeyFileError, match="was revoked"):
        rotating(revoked, ours)
    with pytest.raises(KeyFileError, match="was revoked"):
        importing(revoked, ours.bundle)


def test_a_bundle_after_a_rotation_asks_for_the_announcement() -> None:
    new = generate_pair()
    rotation = make_rotation(BEN, new, BEN.public_key, "ben", "ben.example:5000", LATER)
    with pytest.raises(KeyFileError, match="announcement of its rotation"):
        importing(with_ben(), rotation.bundle)
    known = after(with_ben(Trust.COMPARED), rotating(with_ben(Trust.COMPARED), rotation))
    again = importing(known, rotation.bundle)
    assert again.register == known.register
    assert again.keystore == known.keystore


def test_an_announcement_that_was_taken_in_by_half_is_taken_in_again() -> None:
    """Of a command that was stopped there may be only the register."""
    rotation = make_rotation(BEN, generate_pair(), BEN.public_key, "ben", "ben.example:5000", LATER)
    known = with_ben(Trust.COMPARED)
    whole = rotating(known, rotation)
    half = dataclasses.replace(known, register=whole.register)
    assert rotating(half, rotation) == whole
    done = rotating(after(known, whole), rotation)
    assert (done.lines, done.keystore, done.register) == ((), whole.keystore, whole.register)


def test_a_later_day_for_the_old_key_is_taken() -> None:
    """Its owner announces once more, and stays away for longer than it thought."""
    new = generate_pair()

    def announced(days: int) -> Rotation:
        until = TODAY + datetime.timedelta(days=days)
        return make_rotation(BEN, new, BEN.public_key, "ben", "ben.example:5000", until)

    known = with_ben(Trust.COMPARED)
    known = after(known, rotating(known, announced(14)))
    change = rotating(known, announced(60))
    assert change.lines == ("KEEPS the old key of ben accepted until 2027-01-20",)
    known = after(known, change)
    for again in (14, 60):
        assert rotating(known, announced(again)).lines == ()
        assert rotating(known, announced(again)).register == known.register
    (entry,) = known.register.entries
    assert entry.trust is Trust.COMPARED
    known = dataclasses.replace(known, today=TODAY + datetime.timedelta(days=60))
    assert entry.accepted(known.today) == (BEN.public_key,)
    known = dataclasses.replace(known, today=TODAY + datetime.timedelta(days=61))
    assert entry.accepted(known.today) == ()
    with pytest.raises(KeyFileError, match=r"until 2027-01-20.*rotate --switch"):
        rotating(known, announced(90))  # who has it now has perhaps bought the disk


def test_a_later_day_mends_an_import_that_broke_off() -> None:
    new = generate_pair()
    known = with_ben()
    first = make_rotation(BEN, new, BEN.public_key, "ben", "ben.example:5000", LATER)
    until = LATER + datetime.timedelta(days=1)
    second = make_rotation(BEN, new, BEN.public_key, "ben", "ben.example:5000", until)
    half = dataclasses.replace(known, register=rotating(known, first).register)
    change = rotating(half, second)
    assert change.lines[0].startswith("ROTATES the key of ben")
    assert change.keystore == {"tcp://ben.example:5000": new.public_key}
    assert change.register.entries[0].former[0].until == until


def test_former_keys_are_few() -> None:
    known, pair = with_ben(), BEN
    for _ in range(MAX_FORMER_KEYS + 3):
        new = generate_pair()
        rotation = make_rotation(pair, new, BEN.public_key, "ben", "ben.example:5000", LATER)
        known, pair = after(known, rotating(known, rotation)), new
    (entry,) = known.register.entries
    assert len(entry.former) == MAX_FORMER_KEYS
    assert entry.uid == uid_of(BEN.public_key)


def test_no_key_of_a_revoked_member_comes_back_under_another_uid() -> None:
    keys = [BEN, generate_pair(), generate_pair()]
    known = with_ben()
    for old, new in itertools.pairwise(keys):
        rotation = make_rotation(old, new, BEN.public_key, "ben", "ben.example:5000", LATER)
        known = after(known, rotating(known, rotation))
    bundles = [
        make_bundle(key, "eve", "eve.example:1", first_key=first)
        for key in keys
        for first in (None, CLEO.public_key)
    ]
    for bundle in bundles[:4]:  # nor do two members share one key
        with pytest.raises(KeyFileError, match="an old key of ben"):
            importing(known, bundle)
    revoked = after(known, removing(known, find_person(known, "ben"), revoke=True))
    for bundle in bundles:
        with pytest.raises(KeyFileError, match="was revoked"):
            importing(revoked, bundle)
    with pytest.raises(KeyFileError, match="nobody called 'cleo' was revoked; revoked is ben"):
        pardoning(revoked, "cleo")
    assert after(revoked, pardoning(revoked, "ben")).register == Register()
    with pytest.raises(KeyFileError, match="nobody called 'ben' was revoked; nobody is"):
        pardoning(NOBODY, "ben")


def test_of_two_revoked_of_one_name_one_comes_back() -> None:
    """Their owner has lost a second laptop, which was called as the first, and found this one."""
    stolen, found = BEN, CLEO
    known = NOBODY
    for pair in (stolen, found):
        bundle = make_bundle(pair, "laptop", "laptop.example:5000")
        known = after(known, importing(known, bundle))
        known = after(known, removing(known, find_person(known, "laptop"), revoke=True))
    digits = fingerprint_hex(found.public_key)
    with pytest.raises(KeyFileError, match=r"'laptop' can be laptop .* and laptop .* the digits"):
        pardoning(known, "laptop")
    with pytest.raises(KeyFileError, match=rf"revoke --undo {digits.replace(' ', '')[:16]}"):
        importing(known, make_bundle(found, "laptop", "laptop.example:5000"))
    with pytest.raises(KeyFileError, match="nobody called 'abc'"):
        pardoning(known, "abc")
    known = after(known, pardoning(known, digits))
    assert importing(known, make_bundle(found, "laptop", "laptop.example:5000")).lines
    with pytest.raises(KeyFileError, match=r"was revoked .* --undo laptop"):
        importing(known, make_bundle(stolen, "laptop", "laptop.example:5000"))
    assert after(known, pardoning(known, "laptop")).register == Register()


PAIRS = [generate_pair() for _ in range(5)]
BY_KEY = {pair.public_key: pair for pair in (*PAIRS, OWN)}
NAMES = ("ben", "cleo", "dora")
ENDPOINTS = ("tcp://b.example:1", "tcp://c.example:1", "tcp://d.example:1", OWN_ENDPOINT)


class Exchange(RuleBasedStateMachine):
    """Bundles, announcements and revocations in any order, honest and not."""

    def __init__(self) -> None:
        super().__init__()
        self.known = NOBODY
        self.compared: set[str] = set()
        """Keys that somebody compared, and those that such keys announced."""

    def _take(self, change: Change) -> None:
        self.known = after(self.known, change)

    @rule(
        pair=st.sampled_from([*PAIRS, OWN]),
        first=st.none() | st.sampled_from([*PAIRS, OWN]),
        name=st.sampled_from(NAMES),
        endpoint=st.sampled_from(ENDPOINTS),
    )
    def import_(self, pair: KeyPair, first: KeyPair | None, name: str, endpoint: str) -> None:
        key = None if first is None else first.public_key
        try:
            self._take(importing(self.known, make_bundle(pair, name, endpoint, first_key=key)))
        except KeyFileError:
            return
        assert pair is not OWN and endpoint != OWN_ENDPOINT

    @rule(data=st.data(), new=st.sampled_from([*PAIRS, OWN]), honest=st.booleans())
    def rotate(self, data: st.DataObject, new: KeyPair, honest: bool) -> None:
        """A member announces, or somebody in its name who claims some uid."""
        old, first = data.draw(st.sampled_from(PAIRS)), data.draw(st.sampled_from([*PAIRS, OWN]))
        person = self._somebody(data)
        if person is not None and honest:
            entry = person.entry
            old = BY_KEY[person.public_key]
            first = BY_KEY[entry.first_key] if entry is not None and entry.first_key else old
        if old is new or first is new:
            return
        had = old.public_key in self.known.keystore.values()
        rotation = make_rotation(old, new, first.public_key, "ben", "tcp://b.example:1", LATER)
        try:
            change = rotating(self.known, rotation)
        except KeyFileError:
            return
        if change.lines:
            assert had and new is not OWN
            uid = self.known.register.uid(old.public_key)
            assert change.register.uid(new.public_key) == uid
            if old.public_key in self.compared:
                self.compared.add(new.public_key)
            else:
                self.compared.discard(new.public_key)
        self._take(change)

    @rule(data=st.data())
    def verify(self, data: st.DataObject) -> None:
        if person := self._somebody(data):
            self._take(verifying(self.known, person))
            self.compared.add(person.public_key)

    @rule(data=st.data(), revoke=st.booleans())
    def remove(self, data: st.DataObject, revoke: bool) -> None:
        if person := self._somebody(data):
            self._take(removing(self.known, person, revoke=revoke))
            self.compared.discard(person.public_key)

    @rule(name=st.sampled_from(NAMES))
    def pardon(self, name: str) -> None:
        try:
            self._take(pardoning(self.known, name))
        except KeyFileError:
            return

    def _somebody(self, data: st.DataObject) -> Person | None:
        everybody = people(self.known)
        return data.draw(st.sampled_from(everybody)) if everybody else None

    @invariant()
    def one_uid_for_one_member(self) -> None:
        register = self.known.register
        keys = {*self.known.keystore.values(), OWN.public_key}
        assert len({register.uid(key) for key in keys}) == len(keys)

    @invariant()
    def nobody_is_us(self) -> None:
        assert OWN_ENDPOINT not in self.known.keystore
        assert OWN.public_key not in self.known.keystore.values()

    @invariant()
    def the_revoked_stay_out(self) -> None:
        register = self.known.register
        for key in self.known.keystore.values():
            assert register.revocation(register.uid(key), key) is None

    @invariant()
    def only_what_was_compared_is_verified(self) -> None:
        for person in people(self.known):
            if person.trust is not Trust.UNVERIFIED:
                assert person.public_key in self.compared

    @invariant()
    def the_register_can_be_kept(self) -> None:
        register = self.known.register
        assert decode_register(encode_register(register).encode()) == register
        assert {entry.public_key for entry in register.entries} <= set(self.known.keystore.values())


Exchange.TestCase.settings = settings(max_examples=150, stateful_step_count=20, deadline=None)
TestExchange = Exchange.TestCase
