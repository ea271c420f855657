"""Nothing that comes from elsewhere steers a terminal."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from flocksy.status.printable import printable


@given(st.text(alphabet=st.characters(exclude_categories=[])))
def test_only_printable_characters_are_left(text: str) -> None:
    shown = printable(text)
    assert shown.isprintable()
    shown.encode("utf-8")


def test_what_is_printable_stays() -> None:
    assert printable("übergröße 🐑.txt") == "übergröße 🐑.txt"
    assert printable("a\x1b[2Jb\nc") == "a\\x1b[2Jb\\x0ac"
    assert printable("gpj.\u202eexe") == "gpj.\\u202eexe"
    assert printable("\udcff") == "\\xff"
