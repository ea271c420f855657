"""Which format a text is in, and that any text whatever is a document or one clear line."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from flocksy.config import formats, original
from flocksy.config.document import Document
from flocksy.errors import ConfigError

PIECES = st.sampled_from(
    [
        "[box]",
        "[program]",
        "{",
        "}",
        '"base_path"',
        ":",
        ",",
        "'0'",
        "//",
        "#",
        "=",
        "\n",
        " ",
        "\r",
        "hostname",
        "node",
        "box",
        '"',
        "'",
        "\\",
        "\\u12",
        "[",
        "]",
        "[[",
        "]]",
        "[box.x]",
        "1",
        "\x0b",
        "\udcff",
    ]
)


@given(st.text() | st.lists(PIECES, max_size=40).map("".join))
@example("[a]\n{\n'x' : \"\\")
@example("[a]\n{'x':'\\'\"'}")
def test_any_text_is_a_document_or_one_line(text: str) -> None:
    try:
        document = formats.parse("file", text)
    except ConfigError as error:
        assert str(error).startswith("file:")
        return
    assert isinstance(document, Document)


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("", "toml"),
        ("# only a comment\n", "toml"),
        ("hostname = a:1\n", "original"),
        ("idle_cell = 1024\n", "toml"),
        ("[program]\nidle_cell = 1024\nnode = a:1", "original"),
        ("[mainbox]\n{ }", "original"),
        ('hostname = "a:1\n', "toml"),
        ("node = [\n", "toml"),
        ("node = [::1]:5000\n", "original"),
        ("hostname = a:1\nnode = [fe80::1%eth0]:5000 # a friend", "original"),
        ("x = y\nnode = [1, 2]\n", "toml"),
        ('x = y\nnode = ["[::1]:5000"]\n', "toml"),
        ("[box.one]\nx = y", "toml"),
    ],
)
def test_the_content_tells_the_format(text: str, form: str) -> None:
    assert formats.format_of(text) == form


@example({"}": ""})
@given(
    st.dictionaries(
        st.text(st.characters(codec="utf-8")), st.text(st.characters(codec="utf-8")) | st.booleans()
    )
)
def test_blocks_hold_any_text(values: dict[str, object]) -> None:
    text = original.json_block("name", dict(values))
    block = original.parse("file", text).boxes["name"]
    assert {entry.key: entry.value for entry in block.entries} == values
