"""Pairing without sockets: equal codes meet, everything else burns the code and gives nothing."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flocksy.keys.bundle import Bundle, make_bundle
from flocksy.keys.files import generate_pair
from flocksy.keys.pairing import (
    BOX_BYTES,
    CODE_WORDS,
    GREETING_BYTES,
    MAX_BUNDLES,
    MAX_TURNS,
    WRONG,
    GuestRun,
    HostRun,
    Invitation,
    NoPairingError,
    PairingError,
    Run,
    WrongCodeError,
    code_of,
    code_text,
    new_code,
)

CODE = bytes(range(CODE_WORDS))
OTHER = bytes(range(1, CODE_WORDS + 1))
HANDSHAKE = 5  # messages until both have confirmed

Middle = Callable[[str, bytes], bytes]
"""Sees each message with who sent it, and says what goes on."""


def bundle(name: str) -> Bundle:
    return make_bundle(generate_pair(), name, f"tcp://{name}.example:5000")


ANNA, BEN, CLEO = bundle("anna"), bundle("ben"), bundle("cleo")


def honest(_: str, message: bytes) -> bytes:
    return message


def pass_on(source: Run, target: Run, who: str, middle: Middle = honest) -> bool:
    """Move what `source` has to say. False if it had nothing, or `target` wants no more."""
    data = source.to_send()
    if data:
        data = middle(who, data)
    moved = bool(data)
    while data and target.missing_bytes:
        size = min(len(data), target.missing_bytes)
        target.feed(data[:size])
        data = data[size:]
    return moved


def converse(host: Run, guest: Run, middle: Middle = honest) -> None:
    """Until nobody has anything to say. Raises what either side raises."""
    while pass_on(host, guest, "host", middle) | pass_on(guest, host, "guest", middle):
        pass


def connected(host_code: bytes = CODE, guest_code: bytes = CODE) -> tuple[HostRun, GuestRun]:
    return HostRun(host_code, os.urandom(16), 1), GuestRun(guest_code)


def test_equal_codes_exchange_bundles() -> None:
    host, guest = connected()
    converse(host, guest)
    assert host.confirmed and guest.confirmed
    guest.send(BEN)
    guest.end()
    host.send(ANNA)
    host.send(CLEO)
    converse(host, guest)
    assert host.bundles == [BEN] and host.ended and not guest.ended
    host.end()
    converse(host, guest)
    assert guest.bundles == [ANNA, CLEO] and guest.ended and guest.missing_bytes == 0


def test_byte_by_byte_is_the_same() -> None:
    host, guest = connected()
    for _ in range(HANDSHAKE):
        for source, target in ((host, guest), (guest, host)):
            for byte in source.to_send():
                target.feed(bytes([byte]))
    assert host.confirmed and guest.confirmed


def test_nothing_readable_and_no_size_shows() -> None:
    passed: list[tuple[str, bytes]] = []

    def listen(who: str, message: bytes) -> bytes:
        passed.append((who, message))
        return message

    host, guest = connected()
    converse(host, guest, listen)
    long = make_bundle(generate_pair(), "a" * 32, f"tcp://{'b' * 60}.{'b' * 60}.example:5000")
    for sent in (ANNA, long):
        host.send(sent)
        converse(host, guest, listen)
    assert [len(message) for _, message in passed[-2:]] == [BOX_BYTES] * 2
    text = b"".join(message for _, message in passed)
    for secret in (b"anna", b"example", CODE * 4, ANNA.public_key.encode()):
        assert secret not in text


def test_a_wrong_code_is_seen_by_the_host_before_it_has_confirmed() -> None:
    host, guest = connected(guest_code=OTHER)
    with pytest.raises(WrongCodeError) as caught:
        converse(host, guest)
    assert str(caught.value) == WRONG
    assert not host.confirmed and not guest.confirmed
    assert host.to_send() == b"", "nothing to check a guess by"


def test_a_host_that_does_not_know_the_code_convinces_no_guest() -> None:
    host, guest = connected(host_code=OTHER)
    pass_on(host, guest, "host")
    pass_on(guest, host, "guest")
    pass_on(host, guest, "host")
    guest.to_send()
    with pytest.raises(WrongCodeError):
        guest.feed(os.urandom(guest.missing_bytes))
    assert not guest.confirmed


def test_the_man_in_the_middle_loses() -> None:
    """He runs the protocol with both sides, with the best code he can guess."""
    host, guest = connected()
    to_host, to_guest = GuestRun(OTHER), HostRun(OTHER, os.urandom(16), 1)
    with pytest.raises(WrongCodeError) as at_host:
        converse(host, to_host)
    with pytest.raises(WrongCodeError) as with_guest:
        converse(to_guest, guest)
    # The same words as for a slip of the tongue; neither side told him anything under a key.
    assert str(at_host.value) == str(with_guest.value) == WRONG
    assert not host.confirmed and not guest.confirmed
    assert not to_host.confirmed and not to_guest.confirmed


@pytest.mark.parametrize("number", range(HANDSHAKE + 2))
def test_whatever_he_changes_on_the_way_is_noticed(number: int) -> None:
    host, guest = connected()
    seen = 0

    def change(_: str, message: bytes) -> bytes:
        nonlocal seen
        seen += 1
        return message[:-1] + bytes([message[-1] ^ 1]) if seen == number + 1 else message

    with pytest.raises(PairingError):
        converse(host, guest, change)
        guest.send(BEN)
        host.send(ANNA)
        converse(host, guest, change)
    if number < HANDSHAKE - 1:
        assert not host.confirmed
    assert ANNA not in guest.bundles or BEN not in host.bundles


@pytest.mark.parametrize(
    "point", [bytes(32), b"\1" + bytes(31), b"\xff" * 32, b"\xec" + b"\xff" * 31]
)
def test_points_of_small_order_and_no_points_are_refused(point: bytes) -> None:
    host, guest = connected()
    pass_on(host, guest, "host")
    guest.to_send()
    with pytest.raises(WrongCodeError):
        host.feed(b"flocksy pair 1\r\n" + b"B" + point)
    host, guest = connected()
    pass_on(host, guest, "host")
    with pytest.raises(WrongCodeError):
        guest.feed(b"A" + point)


@settings(max_examples=50, deadline=None)
@given(point=st.binary(min_size=32, max_size=32))
def test_made_up_points_give_no_key_in_common(point: bytes) -> None:
    host, guest = connected()
    pass_on(host, guest, "host")
    with pytest.raises(WrongCodeError):
        guest.feed(b"A" + point)
        guest.feed(bytes(guest.missing_bytes))


def test_nothing_comes_back_to_its_sender() -> None:
    host, guest = connected()
    pass_on(host, guest, "host")
    own = guest.to_send()
    with pytest.raises(WrongCodeError):
        guest.feed(own[-33:])
    host, guest = connected()
    converse(host, guest)
    host.send(ANNA)
    mirrored = host.to_send()
    with pytest.raises(WrongCodeError):
        host.feed(mirrored)


def test_boxes_cannot_be_left_out_or_repeated() -> None:
    host, guest = connected()
    converse(host, guest)
    host.send(ANNA)
    first = host.to_send()
    guest.feed(first)
    with pytest.raises(WrongCodeError):
        guest.feed(first)
    host, guest = connected()
    converse(host, guest)
    host.send(ANNA)
    host.to_send()
    host.send(CLEO)
    with pytest.raises(WrongCodeError):
        guest.feed(host.to_send())


def test_a_run_fits_into_no_other_turn() -> None:
    nonce = os.urandom(16)
    first, second = HostRun(CODE, nonce, 1), HostRun(CODE, nonce, 2)
    guest = GuestRun(CODE)
    pass_on(first, guest, "host")
    second.to_send()
    with pytest.raises(WrongCodeError):
        converse(second, guest)


def test_something_else_that_talks_burns_nothing() -> None:
    host, guest = connected()
    with pytest.raises(NoPairingError):
        guest.feed(b"SSH-2.0-OpenSSH_9.9\r\n".ljust(GREETING_BYTES))
    with pytest.raises(NoPairingError):
        host.feed(b"GET / HTTP/1.1\r\n".ljust(host.missing_bytes))
    invitation = Invitation(CODE, 1, 100.0, os.urandom)
    invitation.failed(NoPairingError("no"))
    assert invitation.open(1.0)


@settings(max_examples=100, deadline=None)
@given(data=st.binary(max_size=200), guest=st.booleans(), confirmed=st.booleans())
def test_no_bytes_are_more_than_a_refusal(data: bytes, guest: bool, confirmed: bool) -> None:
    """Whatever comes: a `PairingError` or waiting for more, and never a bundle."""
    runs = connected()
    if confirmed:
        converse(*runs)
    run = runs[guest]
    run.to_send()
    try:
        while data:
            size = min(len(data), run.missing_bytes)
            assert 0 < size <= BOX_BYTES
            run.feed(data[:size])
            data = data[size:]
    except PairingError:
        pass
    assert run.bundles == [] and not run.ended
    assert run.confirmed == confirmed


@settings(max_examples=100, deadline=None)
@given(kind=st.integers(0, 255), length=st.integers(0, 65535), content=st.binary(max_size=300))
def test_who_knows_the_code_can_still_send_nonsense(kind: int, length: int, content: bytes) -> None:
    """A box decrypts to anything: a `PairingError`, an end, and never anything else."""
    host, guest = connected()
    converse(host, guest)
    plain = bytes([kind]) + length.to_bytes(2, "big") + content
    host._out += seal(host, plain)
    data = host.to_send()
    if kind == 2 and length == 0:
        guest.feed(data)
        assert guest.ended
        return
    with pytest.raises(PairingError):
        guest.feed(data)
    assert guest.bundles == [] and not guest.ended


def seal(run: Run, plain: bytes) -> bytes:
    """As `Run._seal`, with a content of the caller's."""
    import nacl.bindings

    size = BOX_BYTES - nacl.bindings.crypto_secretbox_MACBYTES
    return nacl.bindings.crypto_secretbox(
        plain.ljust(size, b"\0"), bytes(24), run._derived("host seals")
    )


def test_bundles_have_an_end() -> None:
    host, guest = connected()
    converse(host, guest)
    for _ in range(MAX_BUNDLES):
        host.send(ANNA)
    converse(host, guest)
    host.send(ANNA)
    with pytest.raises(PairingError):
        converse(host, guest)


def test_an_invitation_ends_with_its_places_its_time_and_one_wrong_code() -> None:
    invitation = Invitation(CODE, 2, 100.0, os.urandom)
    turns = []
    for _ in range(2):
        run = invitation.connected(1.0)
        assert run is not None
        turns.append(run.to_send())
        assert invitation.joined()
    assert turns[0] != turns[1], "every turn is a run of its own"
    assert not invitation.joined() and not invitation.open(1.0)
    assert invitation.connected(1.0) is None

    late = Invitation(CODE, 1, 100.0, os.urandom)
    assert late.open(99.9) and not late.open(100.0) and late.connected(100.0) is None

    burnt = Invitation(CODE, 2, 100.0, os.urandom)
    waiting = burnt.connected(1.0)
    burnt.failed(WrongCodeError())
    assert burnt.burnt and burnt.connected(1.0) is None and waiting is not None
    assert not burnt.joined(), "who was on the way is not let in either"


def test_who_only_connects_learns_nothing_and_cannot_do_it_for_ever() -> None:
    invitation = Invitation(CODE, 1, 100.0, os.urandom)
    for _ in range(MAX_TURNS):
        assert invitation.connected(1.0) is not None
    assert not invitation.burnt
    assert invitation.connected(1.0) is None and invitation.burnt


def test_codes_are_said_and_typed() -> None:
    code = new_code(os.urandom)
    text = code_text(code)
    assert len(text.split("-")) == CODE_WORDS
    assert code_of(text) == code_of(text.upper().replace("-", "  ")) == code
    assert code_of("-".join(word[:3] for word in text.split("-"))) == code
    for wrong in ("", "acorn", text + "-acorn", text.replace("-", "-qqq-", 1)):
        with pytest.raises(ValueError, match="words"):
            code_of(wrong)
