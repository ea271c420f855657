"""What several texts of `.flockignore` leave out together, and when one of them counts alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flocksy.sync.holding import Choice
from flocksy.sync.ignore import IGNORE_FILE, Ignore, is_ignore_file
from flocksy.sync.in_force import (
    EMPTY_STANDS_SECONDS,
    MAX_TEXTS,
    STANDS_SECONDS,
    TextsInForce,
)
from tests.sync.test_ignore import paths, patterns

COVERED = (
    # text, what it is held against, whether its lines show that it leaves out all of that
    ("a\nb", "a", True),
    ("b\na", "a\n# more\nb", True),
    ("a", "", True),
    ("", "# nothing", True),
    ("", "!a", True),
    ("!a", "# nothing", True),
    ("", "a", False),
    ("a", "a\nb", False),
    ("a", "a/", False),
    ("a", " a", False),
    ("a\n!b", "a", False),
    ("a\n!b\nc", "a\n!b", True),
    ("c\na\n!b", "a\n!b", True),
    ("!b\na", "a\n!b", False),
    ("a", "a\n!b", True),
)


@pytest.mark.parametrize(("text", "other", "is_covered"), COVERED)
def test_whether_lines_show_that_nothing_is_taken_back_in(
    text: str, other: str, *, is_covered: bool
) -> None:
    assert Ignore(text).covers(Ignore(other)) is is_covered


texts = st.lists(patterns, max_size=5).map("\n".join)


@given(texts, st.lists(patterns, max_size=3), paths, st.booleans())
def test_what_is_covered_is_left_out(
    text: str, more: list[str], path: str, is_directory: bool
) -> None:
    lines = text.splitlines()
    for longer in (Ignore("\n".join([*lines, *more])), Ignore("\n".join([*more, *lines]))):
        other = Ignore(text)
        if longer.covers(other) and other.match(path, is_directory=is_directory):
            assert longer.match(path, is_directory=is_directory)


def test_each_of_several_texts_leaves_out() -> None:
    choice = Choice([], ["*.o\n", "!*.o\nsecret/\n"])
    assert not choice.holds("a.o", is_directory=False), "no text takes in what another leaves out"
    assert not choice.holds("secret", is_directory=True)
    assert choice.holds("secret", is_directory=False)
    assert choice.depends_on_kind("secret")
    assert choice == Choice([], ["!*.o\nsecret/\n", "*.o\n"])


def test_the_copies_of_the_file_are_held_like_itself() -> None:
    copy = f"{IGNORE_FILE}.conflict-20261130-6ee793"
    assert is_ignore_file(copy) and is_ignore_file(IGNORE_FILE)
    assert not is_ignore_file(f"{IGNORE_FILE}.old") and not is_ignore_file(f"a/{copy}")
    assert Choice(["photos"], [".*\n"]).holds(copy, is_directory=False)


def test_what_takes_nothing_back_in_counts_at_once() -> None:
    texts = TextsInForce()
    for text in ("a\n", "b\na\n", "a\n# said why\nb\nc\n"):
        texts.want([text], 5.0)
        assert texts.texts == (text,) and not texts.waits


def test_what_is_taken_back_in_waits_from_the_last_change_on() -> None:
    texts = TextsInForce(["a\n"])
    texts.want(["a\n"], 0.0)
    assert not texts.waits
    texts.want([""], 10.0)
    assert texts.texts == ("a\n",) and texts.waits
    assert texts.stands_at == 10.0 + EMPTY_STANDS_SECONDS
    texts.want(["b\n"], 20.0)
    texts.want(["b\n"], 30.0)
    assert texts.texts == ("b\n", "a\n") and texts.stands_at == 20.0 + STANDS_SECONDS
    texts.want([], 40.0)  # it was deleted
    assert texts.texts == ("b\n", "a\n") and texts.stands_at == 40.0 + STANDS_SECONDS
    texts.want(["!c\n"], 45.0)
    assert texts.stands_at == 45.0 + EMPTY_STANDS_SECONDS
    texts.settle()
    assert texts.texts == () and not texts.waits


def test_no_time_passes_before_somebody_says_which() -> None:
    texts = TextsInForce(["a\n"])
    texts.want(["b\n"], None)
    assert texts.waits and texts.stands_at is None
    texts.want(["b\n"], 7.0)
    assert texts.stands_at == 7.0 + STANDS_SECONDS


def test_of_very_many_texts_the_oldest_and_the_youngest_count() -> None:
    texts = TextsInForce(["first\n"])
    for number in range(100):
        texts.want([f"{number}\n"], float(number))
    assert len(texts.texts) == MAX_TEXTS
    assert {"first\n", "0\n", "99\n", "90\n"} < set(texts.texts)
    texts.want([f"{number}\n" for number in range(100)], 200.0)
    texts.settle()
    assert len(texts.texts) == MAX_TEXTS
