"""What a disk cannot hold is told with the very thing that it cannot hold."""

from __future__ import annotations

import os

import pytest

from flocksy.sync.name_rules import CONTROLS, EVERY_NAME, NameRules

WINDOWS = NameRules(
    characters=frozenset('"*:<>?\\|' + CONTROLS),
    endings=frozenset(". "),
    undecodable=False,
    devices=False,
)


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("a:b", "“:” in a name"),
        ("folder?/inside", "“?” in a name"),
        ("tab\there", "U+0009 in a name"),
        ("ends.", "a dot at"),
        ("folder /inside", "a space at the end"),
        (os.fsdecode(b"caf\xe9"), "not UTF-8"),
        ("NUL", "“NUL” as a name"),
        ("folder/com1.txt", "“com1” as a name"),
        ("aux .tar.gz", "“aux ” as a name"),
    ],
)
def test_names_that_windows_does_not_have(path: str, words: str) -> None:
    reason = WINDOWS.why_not(path)
    assert reason is not None and words in reason
    assert EVERY_NAME.why_not(path) is None


@pytest.mark.parametrize(
    "path", ["a", ".hidden", "com10", "console.txt", "a b/c.d", "é 🐦", " leading", "...a"]
)
def test_names_that_windows_has(path: str) -> None:
    assert WINDOWS.why_not(path) is None


@pytest.mark.parametrize(
    ("rules", "bad", "good"),
    [
        (NameRules(max_bytes=143), "é" * 72, "é" * 71),
        (NameRules(largest=0xFFFF), "🐦", "é"),
        (NameRules(largest=0x7F), "é", "e"),
        (NameRules(form="NFD"), "\u00e9", "e\u0301"),
        (NameRules(form="NFC"), "e\u0301", "\u00e9"),
    ],
)
def test_other_rules(rules: NameRules, bad: str, good: str) -> None:
    assert rules.why_not(f"folder/{bad}") is not None
    assert rules.why_not(f"folder/{good}") is None
