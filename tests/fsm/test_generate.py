"""The generator refuses unsound models and names the rows; what it made is up to date."""

from __future__ import annotations

import subprocess
import sys

import pytest

from fsm import generate

SOUND = """
initial = "a"
[states]
a = { status = 1, name = "A", means = "begins" }
b = { status = 2, name = "B", means = "goes on" }
z = { status = 3, name = "Z", means = "ends", final = true }
[events]
go = "went"
end = "ended"
[actions]
act = "does it"
[rows]
a = [
    { on = "go", to = "b", do = "act" },
    { on = "end", to = "z", do = "act" },
]
b = [
    { on = "go", to = "a", do = "act" },
    { on = "end", ignored = "goes on first" },
]
z = [
    { on = "go", ignored = "over" },
    { on = "end", ignored = "over" },
]
"""


def test_sound_model_is_accepted() -> None:
    model = generate.checked(SOUND)
    assert "class Mode(Enum):" in generate.table_module(model)
    assert "a --> b: go / act" in generate.diagram(model)


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        (
            '{ on = "go", to = "a", do = "act" },',
            '{ on = "go", to = "a", do = "act" },\n    { on = "go", to = "z", do = "act" },',
            "[b × go]: not deterministic",
        ),
        ('    { on = "end", ignored = "goes on first" },\n', "", "[b × end]: not total"),
        (
            '{ on = "go", to = "b", do = "act" }',
            '{ on = "go", to = "z", do = "act" }',
            "state b: unreachable from a ([b × go])",
        ),
        (
            '{ on = "go", to = "a", do = "act" }',
            '{ on = "go", to = "b", do = "act" }',
            "state b: dead end: no way back or to an end ([b × go])",
        ),
        ('to = "b", do = "act"', 'to = "c", do = "act"', "[a × go]: goes to unknown state 'c'"),
        ('to = "b", do = "act"', 'to = "b", do = "jump"', "[a × go]: unknown action 'jump'"),
        ('{ on = "go", to = "b"', '{ on = "run", to = "b"', "[a × run]: unknown event 'run'"),
        ('ignored = "goes on first"', 'ignored = ""', "[b × end]: must either go somewhere"),
        (
            'ignored = "goes on first"',
            'to = "a", do = "act", ignored = "?"',
            "[b × end]: must either go somewhere or be ignored",
        ),
        (
            'ignored = "goes on first"',
            'do = "act", ignored = "?"',
            "[b × end]: is ignored but has an action",
        ),
        (
            'z = [\n    { on = "go", ignored = "over" }',
            'z = [\n    { on = "go", to = "a", do = "act" }',
            "[z × go]: leaves a final state",
        ),
        ('end = "ended"', 'end = "ended"\nlate = "late"', "event late: is ignored everywhere"),
        ('act = "does it"', 'act = "does it"\nidle = "x"', "action idle: is never done"),
        ("status = 2", "status = 1", "state b: status 1 is shared"),
        ('initial = "a"', 'initial = "q"', "initial state 'q' is not a state"),
        ('initial = "a"', "", "cannot be read"),
        ("[rows]", "[rows", "cannot be read"),
    ],
)
def test_unsound_model_is_refused(old: str, new: str, named: str) -> None:
    assert old in SOUND
    with pytest.raises(generate.ModelError) as refused:
        generate.checked(SOUND.replace(old, new, 1))
    assert named in str(refused.value)


def test_document_without_markers_is_refused() -> None:
    with pytest.raises(generate.ModelError, match="markers"):
        generate.with_diagram("# nothing here", "x")


def test_generated_files_are_up_to_date() -> None:
    script = generate.ROOT / "fsm" / "generate.py"
    checked = subprocess.run(
        [sys.executable, str(script), "--check"], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stderr
