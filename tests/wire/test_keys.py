"""Wrong keys are told apart, and a link that was refused comes up when its key is let in."""

from __future__ import annotations

import errno
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace

import pytest
import zmq

from flocksy.testing.flock import TrivialBox, drive, make_settings, with_hashes
from flocksy.wire.limits import (
    REFUSAL_NS,
    REFUSALS,
    STRANGERS_NS,
    TWIN_MET_NS,
    TWIN_NS,
    TWIN_STAMPS,
)
from flocksy.wire.link import Links
from flocksy.wire.monitor import (
    DOWN,
    NO_FLOCKSY,
    REFUSED,
    TWIN,
    UP,
    WE_REFUSE,
    WRONG_KEY,
    LinkState,
)
from flocksy.wire.refusals import Refusals
from flocksy.wire.settings import Member, WireSettings
from flocksy.wire.stamps import OwnStamps
from flocksy.wire.zap import Refusal
from tests.wire.test_process import endpoints, running

S = 1_000_000_000

CONNECTED = (zmq.EVENT_CONNECTED, 7)
GONE = (zmq.EVENT_DISCONNECTED, 7)
NOBODY = [(zmq.EVENT_CLOSED, 7), (zmq.EVENT_CONNECT_RETRIED, 250)]
GOOD = [CONNECTED, (zmq.EVENT_HANDSHAKE_SUCCEEDED, 0)]


@pytest.mark.parametrize(
    ("events", "text", "given_up"),
    [
        ([], DOWN, False),
        (NOBODY, DOWN, False),
        (GOOD, UP, False),
        ([*GOOD, *NOBODY], UP, False),  # at the address before, whose end is told late
        ([*GOOD, GONE, (zmq.EVENT_CONNECT_RETRIED, 250)], DOWN, False),
        ([CONNECTED, (zmq.EVENT_HANDSHAKE_FAILED_AUTH, 400), GONE], REFUSED, True),
        (
            [
                *(CONNECTED, (zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL, errno.EPIPE)),
                *(GONE, (zmq.EVENT_CONNECT_RETRIED, 250)),
            ],
            WRONG_KEY,
            False,
        ),
        ([CONNECTED, (zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL, errno.EAGAIN), GONE], NO_FLOCKSY, True),
        ([CONNECTED, (zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL, 1), GONE], NO_FLOCKSY, True),
        ([CONNECTED, GONE], NO_FLOCKSY, True),
        ([CONNECTED, (zmq.EVENT_HANDSHAKE_FAILED_AUTH, 400), GONE, *NOBODY], DOWN, False),
        ([CONNECTED, (zmq.EVENT_HANDSHAKE_FAILED_AUTH, 400), GONE, *GOOD], UP, False),
    ],
)
def test_what_the_events_of_a_socket_say(
    events: list[tuple[int, int]], text: str, given_up: bool
) -> None:
    link = LinkState()
    for event, value in events:
        link.take(event, value)
    assert (link.text, link.given_up) == (text, given_up)


def refusals_at(hosts: list[str]) -> Refusals:
    refusals = Refusals("own", len(hosts))
    for lane, host in enumerate(hosts):
        refusals.moved(lane, host)
    return refusals


def test_a_refusal_is_put_down_to_the_only_member_it_can_be() -> None:
    hosts = ["", "10.0.0.1", "10.0.0.2", "10.0.0.2", "localhost"]
    states = [UP, WRONG_KEY, WRONG_KEY, UP, WRONG_KEY]
    refusals = refusals_at(hosts)
    said = refusals.take([Refusal("other", "::ffff:10.0.0.1")], 1, states.__getitem__)
    assert said == ["refused a link to a key that no member has: other from ::ffff:10.0.0.1"]
    assert [lane for lane in range(5) if refusals.recent(lane, 2)] == [1]
    assert not refusals.recent(1, 1 + REFUSAL_NS)
    refusals.take([Refusal("other", "10.0.0.2")], 1, states.__getitem__)
    refusals.take([Refusal("other", "localhost:0:0:99")], 1, states.__getitem__)
    assert [lane for lane in range(5) if refusals.recent(lane, 2)] == [1, 2, 4]
    both = refusals_at(hosts)
    states[3] = WRONG_KEY
    both.take([Refusal("other", "10.0.0.2")], 1, states.__getitem__)
    assert not any(both.recent(lane, 2) for lane in range(5)), "it could be either"


def test_strangers_cannot_fill_the_log() -> None:
    refusals = refusals_at(["", "10.0.0.1"])
    said = []
    for second in range(100):
        flood = [Refusal(f"key {i}", "10.9.9.9") for i in range(REFUSALS)]
        said += refusals.take(flood, second * S, lambda _: DOWN)
    assert len(said) == 100 * S // STRANGERS_NS
    assert f"({10 * REFUSALS} refusals)" in said[-1]


def test_our_own_key_in_a_strangers_hand() -> None:
    refusals = refusals_at(["", "10.0.0.1"])
    assert not refusals.twin(0)
    (said,) = refusals.take([Refusal("own", "10.9.9.9")], 5, lambda _: DOWN)
    assert said == f"{TWIN}: a link was tried with it from 10.9.9.9"
    assert refusals.take([Refusal("own", "10.9.9.9")], 6, lambda _: DOWN) == []
    assert refusals.twin(7) and not refusals.twin(6 + TWIN_MET_NS)


def test_foreign_stamps_again_and_again_are_a_twin() -> None:
    stamps = OwnStamps(3)
    for stamp in range(1000, 1100):
        stamps.made(stamp + (1 << 40))
        stamps.given_back(1, (stamp + (1 << 40)) & 0xFFFFFFFF, stamp)
    assert not stamps.twin(0)
    # What is left from before our start: two stamps of each member, then our own.
    for lane in (1, 2):
        stamps.given_back(lane, 7, 1)
        stamps.given_back(lane, 8, 1)
        stamps.given_back(lane, 1099, 1)
    assert not stamps.twin(1)
    for stamp in range(TWIN_STAMPS - 1):
        for _ in range(9):
            stamps.given_back(2, stamp + 50, 3)  # the same one again says nothing new
    assert not stamps.twin(3)
    stamps.given_back(2, 99, 3)
    assert stamps.twin(3) and not stamps.twin(3 + TWIN_NS)


def await_states(boxes: list[TrivialBox], wanted: dict[tuple[int, int], str]) -> None:
    """Wait until box i says of lane j what `wanted[i, j]` is."""

    def seen() -> dict[tuple[int, int], str]:
        return {(i, j): boxes[i].report.lanes[j].state for i, j in wanted}

    assert drive(boxes, lambda: seen() == wanted), seen()


def swapped(settings: WireSettings, lane: int, member: Member) -> WireSettings:
    """The settings with another key in a member's place: the place keeps endpoint and uid."""
    kept = settings.members[lane]
    changed = replace(kept, public_key=member.public_key)
    members = (*settings.members[:lane], changed, *settings.members[lane + 1 :])
    return replace(settings, members=members)


def test_each_way_a_key_can_be_wrong_has_a_word_of_its_own() -> None:
    settings = make_settings(endpoints("tcp", ""))
    stranger = make_settings(["tcp://localhost:1"])[0]
    # Node 0 has node 1's key right, and another for node 2.
    mistaken = swapped(settings[0], 2, stranger.members[0])
    with running([mistaken, settings[1], settings[2]]) as boxes:
        await_states(boxes, {(0, 2): WE_REFUSE, (2, 0): REFUSED, (1, 0): "live", (0, 1): "live"})
        assert any(settings[2].public_key in text for text in boxes[0].report.errors)
        boxes[1].stop()
        await_states([boxes[0]], {(0, 1): DOWN})
        boxes[1].start()


def test_two_members_mistaken_for_each_other() -> None:
    settings = make_settings(endpoints("tcp", ""))
    first, second = settings[0].members[1:]
    mistaken = swapped(swapped(settings[0], 1, second), 2, first)
    with running([mistaken, *settings[1:]]) as boxes:
        # Both keys are let in: there is nobody to refuse.
        await_states(boxes, {(0, 1): WRONG_KEY, (0, 2): WRONG_KEY, (1, 2): "live"})


def test_a_refused_link_comes_up_when_its_key_is_let_in() -> None:
    settings = make_settings(endpoints("tcp", ""))
    stranger = make_settings(["tcp://localhost:1"])[0]
    mistaken = swapped(settings[0], 2, stranger.members[0])
    with running([mistaken, settings[1], settings[2]]) as boxes:
        await_states(boxes, {(2, 0): REFUSED})
        boxes[0].stop()
        boxes[0] = TrivialBox(settings[0])
        boxes[0].start()
        await_states(boxes, {(2, 0): "live", (0, 2): "live"})


@pytest.fixture
def other_server() -> Iterator[str]:
    """Something that listens and is no flocksy. Its endpoint."""
    with ExitStack() as stack:
        server = stack.enter_context(socket.create_server(("127.0.0.1", 0)))

        def greet() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                connection.sendall(b"SSH-2.0-OpenSSH_9.9\r\n" + bytes(100))
                stack.callback(connection.close)

        thread = threading.Thread(target=greet)
        thread.start()
        yield f"tcp://127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)
        thread.join(10)


def test_something_else_at_the_endpoint(other_server: str) -> None:
    settings = make_settings([*endpoints("tcp", "")[:2], other_server])
    with running([each for each in settings if each.bind[0] != other_server]) as boxes:
        lane = next(i for i, each in enumerate(settings) if each.bind[0] == other_server)
        await_states(boxes, {(0, lane): NO_FLOCKSY})


def test_somebody_else_live_at_our_place_under_our_key() -> None:
    """The others were told a new endpoint of ours; the old machine still runs."""
    settings = make_settings(endpoints("tcp", ""))
    spare = f"{settings[0].bind[0]}".replace("localhost", "127.0.0.2")
    moved = replace(settings[0].members[0], endpoints=(spare,))
    new = [with_hashes(replace(each, members=(moved, *each.members[1:]))) for each in settings]
    clone = replace(new[0], bind=(spare,))
    with running([settings[0], clone, *new[1:]]) as boxes:
        await_states(boxes, {(0, 0): TWIN, (2, 0): "live"})


def test_a_copy_of_us_that_nobody_was_told_of() -> None:
    """Both have the key; the copy knows from the keystore where the other is, and knocks there."""
    settings = make_settings(endpoints("tcp", ""))
    own = settings[0]
    spare = own.bind[0].replace("localhost", "127.0.0.2")
    copy = replace(own, bind=(spare,), knock=own.bind)
    with running([*settings, copy]) as boxes:
        await_states(boxes, {(0, 0): TWIN, (3, 0): TWIN, (1, 0): "live"})
        assert any(text.startswith(f"{TWIN}: at tcp://") for text in boxes[3].report.errors)


def test_a_knock_that_comes_back_to_us_is_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flocksy.wire.knock.KNOCK_NS", S)
    own = make_settings(endpoints("tcp", ""))[0]
    # Another name for this very machine; one where nobody is; and where this node listened before.
    again = own.bind[0].replace("localhost", "127.0.0.1")
    nobody = endpoints("tcp", "")[0]
    links = Links(replace(own, knock=(again, nobody, "tcp://*:5000")))
    try:
        assert links._knock is not None
        said: list[str] = []
        end = time.monotonic() + 30
        while not links._knock.done:
            links.serve()
            said += links.complaints()
            assert time.monotonic() < end
            links.wait(10)
        assert links.link_state(own.own_lane) == ""
        assert said == []
    finally:
        links.close()


def test_somebody_comes_to_us_with_our_own_key() -> None:
    settings = make_settings(endpoints("tcp", ""))
    own = settings[0]
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    sub = context.socket(zmq.SUB)
    sub.curve_publickey = sub.curve_serverkey = own.public_key.encode()
    sub.curve_secretkey = own.secret_key.encode()
    sub.linger = 0
    sub.subscribe(b"")
    try:
        with running(settings[:1]) as boxes:
            sub.connect(own.bind[0].replace("localhost", "127.0.0.1"))
            await_states(boxes, {(0, 0): TWIN})
            assert boxes[0].report.errors[-1].startswith(TWIN)
            assert not sub.poll(0), "it hears nothing"
    finally:
        sub.close()
        context.term()
