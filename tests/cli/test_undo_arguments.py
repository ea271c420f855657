"""What may be typed after `flocksy` to look into the past and to change it back."""

from __future__ import annotations

import pytest

from flocksy.cli.arguments import build_parser
from flocksy.cli.undo import HANDLERS


@pytest.mark.parametrize(
    ("words", "values"),
    [
        ("history a/b --json", {"path": "a/b", "json": True}),
        ("deleted", {"path": None, "limit": 100, "json": False}),
        ("deleted a --limit 5", {"path": "a", "limit": 5}),
        ("restore a --at 2d", {"path": "a", "at": "2d"}),
        ("conflicts", {"action": None, "json": False}),
        ("conflicts --json list", {"action": "list", "json": True, "path": None}),
        ("conflicts list a --json", {"action": "list", "json": True, "path": "a"}),
        ("conflicts show a", {"action": "show", "json": False}),
        ("conflicts resolve a --both", {"action": "resolve", "both": True}),
        ("dismiss a --anyway --json", {"path": "a", "anyway": True, "json": True}),
        ("dismiss a", {"anyway": False}),
        ("approve", {"name": None}),
        ("reject photos", {"name": "photos"}),
    ],
)
def test_what_is_understood(words: str, values: dict[str, object]) -> None:
    parsed = build_parser().parse_args(words.split())
    assert parsed.command in HANDLERS
    assert {name: getattr(parsed, name) for name in values} == values


@pytest.mark.parametrize(
    "words",
    [
        "history",
        "restore",
        "dismiss",
        "conflicts decide a",
        "conflicts resolve",
        "deleted --limit 0",
    ],
)
def test_what_is_not(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        build_parser().parse_args(words.split())
    assert caught.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith("flocksy: ")
    assert said.count("\n") == 1
