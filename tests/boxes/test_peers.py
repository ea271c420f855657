"""What the members' digests say."""

from __future__ import annotations

from flocksy.boxes.lanes.peers import (
    MAX_BOXES_HEARD,
    SILENT_ROUNDS,
    STANDING_HEARTBEATS,
    STANDING_ROUNDS,
    Peers,
)

TAG = b"t" * 8
OURS = b"o" * 24
THEIRS = b"x" * 24


def peers() -> Peers:
    return Peers(3, own_lane=0)


def test_silence_is_no_agreement() -> None:
    heard = peers()
    assert not heard.agree(TAG, OURS, [1, 2])
    heard.heard(1, TAG + OURS)
    assert heard.agree(TAG, OURS, [1])
    assert not heard.agree(TAG, OURS, [1, 2])


def test_one_who_never_names_the_box_lacks_it() -> None:
    heard = peers()
    for _ in range(SILENT_ROUNDS):
        assert not heard.agree(TAG, OURS, [1])
        heard.heard(1, b"y" * 8 + THEIRS)
    assert heard.agree(TAG, OURS, [1])
    assert not heard.sharing(TAG, [1])


def test_the_newest_word_counts() -> None:
    heard = peers()
    heard.heard(1, TAG + THEIRS)
    assert not heard.agree(TAG, OURS, [1])
    heard.heard(1, TAG + OURS)
    assert heard.agree(TAG, OURS, [1])
    assert heard.sharing(TAG, [1, 2])


def test_zeros_say_nothing() -> None:
    heard = peers()
    heard.heard(1, TAG + OURS)
    heard.heard(1, bytes(32))
    assert heard.agree(TAG, OURS, [1])


def test_a_difference_must_stand() -> None:
    heard = peers()
    heard.heard(1, TAG + THEIRS)
    for round_ in range(10, 10 + STANDING_ROUNDS):
        assert not heard.standing(TAG, OURS, [1], round_)
    assert heard.standing(TAG, OURS, [1], 10 + STANDING_ROUNDS)


def test_agreement_or_a_burst_starts_the_count_anew() -> None:
    heard = peers()
    heard.heard(1, TAG + THEIRS)
    assert not heard.standing(TAG, OURS, [1], 10)
    assert not heard.standing(TAG, THEIRS, [1], 12)
    assert not heard.standing(TAG, OURS, [1], 14)
    heard.calm()
    assert not heard.standing(TAG, OURS, [1], 30)


def test_bursts_all_the_time_do_not_hide_a_difference() -> None:
    heard, found = peers(), []
    for round_ in range(100):
        heard.heard(1, TAG + THEIRS)
        if round_ % 4 == 0:
            heard.calm()
        elif heard.standing(TAG, OURS, [1], round_):
            found.append(round_)
    assert found[0] == STANDING_HEARTBEATS * 4 // 3 + 1
    heard.heard(1, TAG + OURS)
    assert not heard.standing(TAG, OURS, [1], 100)
    heard.heard(1, TAG + THEIRS)
    assert not heard.standing(TAG, OURS, [1], 101)


def test_what_was_said_before_a_burst_counts_once() -> None:
    heard = peers()
    heard.heard(1, TAG + THEIRS)
    for round_ in range(100):
        heard.calm()
        assert not heard.standing(TAG, OURS, [1], round_)


def test_who_left_the_view_is_forgotten() -> None:
    heard = peers()
    heard.heard(1, TAG + OURS)
    heard.forget(1)
    assert not heard.agree(TAG, OURS, [1])


def test_the_own_lane_and_a_flood_of_boxes_are_not_remembered() -> None:
    heard = peers()
    heard.heard(0, TAG + OURS)
    assert not heard.sharing(TAG, [0])
    for number in range(MAX_BOXES_HEARD):
        heard.heard(1, (number + 1).to_bytes(8, "big") + OURS)
    heard.heard(1, TAG + OURS)
    assert not heard.sharing(TAG, [1])


def test_one_who_names_the_box_no_more_lacks_it() -> None:
    heard = peers()
    heard.heard(1, TAG + THEIRS)
    for _ in range(SILENT_ROUNDS):
        assert not heard.agree(TAG, OURS, [1])
        assert heard.sharing(TAG, [1])
        heard.heard(1, bytes(32))
    assert heard.agree(TAG, OURS, [1])
    assert not heard.sharing(TAG, [1])
    assert not heard.standing(TAG, OURS, [1], 10)
    assert not heard.standing(TAG, OURS, [1], 10 + STANDING_ROUNDS)
    heard.heard(1, TAG + THEIRS)
    assert not heard.agree(TAG, OURS, [1])


def test_one_with_many_boxes_is_waited_for() -> None:
    heard = peers()
    boxes = 3 * SILENT_ROUNDS
    for number in range(boxes - 1):
        heard.heard(1, (number + 1).to_bytes(8, "big") + OURS)
    assert not heard.agree(TAG, OURS, [1])
    heard.heard(1, TAG + THEIRS)
    for number in range(boxes - 1):
        heard.heard(1, (number + 1).to_bytes(8, "big") + OURS)
    assert heard.sharing(TAG, [1])
