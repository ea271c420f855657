"""Adding, changing and removing boxes: the rest stays, and a bad change changes nothing."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from flocksy.config import edit
from flocksy.config.edit import Word, add_box, change_box, remove_box
from flocksy.config.load import load
from flocksy.config.settings import BoxSettings, NodeSettings, Options, Symlinks
from flocksy.errors import ConfigError
from tests.place import NODES, PLAIN, TOML, Place

BLOCKS = (
    f'[program]\n{PLAIN}\n[old] # a block\n{{\n    "base_path" : "{{old}}" // here\n}}\n# end\n'
)
TABLES = f'{TOML}\n[box.old]  # a table\nbase_path = "{{old}}" # here\n# end\n'
SPACED = BLOCKS.replace("[program]", "[ program ]").replace("[old]", "[ old ]")
LINES = PLAIN + "box = old@{old}\n\n# end\n"


@pytest.mark.parametrize(
    "form", [BLOCKS, SPACED, TABLES, LINES], ids=["blocks", "spaced", "toml", "lines"]
)
def test_add_and_remove_keep_everything_else(place: Place, form: str) -> None:
    old, new = place.box("old"), place.box("new")
    before = form.replace("{old}", str(old)).replace("{{", "{").replace("}}", "}")
    options = place.write(before)
    place.config.chmod(0o640)
    added = add_box(options, BoxSettings("new", str(new)))
    assert {box.name for box in added.boxes} == {"old", "new"}
    assert load(options).boxes == added.boxes
    text = place.config.read_text()
    for kept in ("# who we are", "friend", "# end"):
        assert kept in text
    assert place.config.stat().st_mode & 0o777 == 0o640
    assert remove_box(options, "new").boxes == (BoxSettings("old", str(old)),)
    assert place.config.read_text().split() == before.split()
    assert remove_box(options, "old").boxes == ()
    assert "# who we are" in place.config.read_text()
    assert "old" not in place.config.read_text()


THREE = """hostname = "anna.example:5000"  # here
node = "ben.example:5000"

# for all
[box.one]
# since May
base_path = "{one}"  # the first
guard = "off"

# ask Ben first
[box.two]
base_path = "{two}"
# and Cleo
[box.three]
base_path = "{three}"

# the end
"""


@pytest.mark.parametrize(
    ("name", "left"),
    [
        ("one", ("\n# for all\n", "\n# ask Ben first\n[box.two]\n", "\n# and Cleo\n[box.three]\n")),
        ("two", ("\n# since May\n", "\n# ask Ben first\n# and Cleo\n[box.three]\n")),
        ("three", ("\n# ask Ben first\n[box.two]\n", "\n# and Cleo\n", "\n# the end\n")),
    ],
)
def test_a_comment_below_a_table_stays_without_it(
    place: Place, name: str, left: tuple[str, ...]
) -> None:
    """TOML has it belong to the table above; for people it mostly heads the next one."""
    folders = {each: str(place.box(each)) for each in ("one", "two", "three")}
    options = place.write(THREE.format(**folders))
    boxes = remove_box(options, name).boxes
    assert {box.name for box in boxes} == set(folders) - {name}
    text = place.config.read_text()
    for comment in left:
        assert comment in text
    assert folders[name] not in text and "\n\n\n" not in text
    for other in sorted(set(folders) - {name}):
        remove_box(options, other)
    assert "# ask Ben first" in place.config.read_text()


@pytest.mark.parametrize("form", [PLAIN, TOML])
@pytest.mark.parametrize("name", ["with space", 'quo"te', "ümlaut 🐑", "a.b"])
def test_settings_and_odd_names_survive(place: Place, form: str, name: str) -> None:
    options = place.write(form)
    box = BoxSettings(
        name, str(place.box("path with # and @")), Symlinks.IGNORE, removable=True, xattrs=True
    )
    assert add_box(options, box).boxes == (box,)
    assert load(options).boxes == (box,)
    assert remove_box(options, name).boxes == ()


def test_a_path_that_no_line_can_hold_becomes_a_block(place: Place) -> None:
    options = place.write(PLAIN)
    box = BoxSettings("one", str(place.box("a #b")))
    assert add_box(options, box).boxes == (box,)
    assert load(options).boxes == (box,)


@pytest.mark.parametrize("form", [PLAIN, TOML])
def test_a_change_that_cannot_be_leaves_the_file_alone(place: Place, form: str) -> None:
    options = place.write(form)
    there = place.box("there")
    add_box(options, BoxSettings("there", str(there)))
    before = place.config.read_bytes()
    for box, said in (
        (BoxSettings("there", str(place.box("else"))), "is there already"),
        (BoxSettings("nothing", str(place.root / "nothing")), "does not exist"),
        (BoxSettings("in it", str(there)), "lie in each other"),
        (BoxSettings("a/b", str(there)), "cannot be a box's name"),
    ):
        with pytest.raises(ConfigError, match=said):
            add_box(options, box)
    with pytest.raises(ConfigError, match="there is no box 'nobody'"):
        remove_box(options, "nobody")
    assert place.config.read_bytes() == before
    assert [path.name for path in place.config.parent.glob("config*")] == ["config"]


def test_a_box_of_the_command_line_cannot_be_removed(place: Place) -> None:
    place.write(PLAIN)
    options = place.options(boxes=(f"one@{place.box('one')}",))
    with pytest.raises(ConfigError, match="was given on the command line"):
        remove_box(options, "one")


def test_a_linked_configuration_stays_a_link(place: Place, tmp_path: Path) -> None:
    real = tmp_path / "real"
    real.write_text(PLAIN)
    place.config.symlink_to(real)
    add_box(place.options(), BoxSettings("one", str(place.box("one"))))
    assert place.config.is_symlink()
    assert "box = one@" in real.read_text()


CHANGES: list[tuple[Word, object, object]] = [
    ("mode", "archive", "sync"),
    ("folders", ("photos/2026", 'a "b", c'), ()),
    ("paused", True, False),
    ("xattrs", True, False),
]


@pytest.mark.parametrize(("word", "value", "default"), CHANGES, ids=lambda value: str(value)[:10])
@pytest.mark.parametrize("form", [BLOCKS, TABLES, LINES], ids=["blocks", "toml", "lines"])
def test_a_word_of_a_box_changes_and_changes_back(
    place: Place, form: str, word: Word, value: object, default: object
) -> None:
    old = place.box("old")
    options = place.write(form.replace("{old}", str(old)).replace("{{", "{").replace("}}", "}"))
    for wanted in (value, default, value):
        (box,) = change_box(options, "old", word, wanted).boxes
        assert getattr(box, word) == wanted
        assert load(options).boxes == (box,)
    for kept in ("# who we are", "friend", "# end"):
        assert kept in place.config.read_text()
    assert remove_box(options, "old").boxes == ()


def test_all_words_of_a_box_stand_beside_each_other(place: Place) -> None:
    options = place.write(PLAIN)
    box = BoxSettings(
        "one", str(place.box("one")), mode="archive", folders=("x",), paused=True, xattrs=True
    )
    assert add_box(options, box).boxes == (box,)
    for word, value, default in CHANGES:
        change_box(options, "one", word, default)
        (changed,) = change_box(options, "one", word, value).boxes
        assert getattr(changed, word) == value


def test_a_word_in_a_comment_is_none(place: Place) -> None:
    old = place.box("old")
    options = place.write(
        f"""{PLAIN}\n[old]\n{{ // "mode" : "x"\n'base_path':'{old}',\n'mode' : 'sync' }}\n"""
    )
    (box,) = change_box(options, "old", "mode", "send-only").boxes
    assert box.mode == "send-only"
    assert '// "mode" : "x"' in place.config.read_text()


def test_a_box_that_cannot_be_changed_says_why(place: Place) -> None:
    place.write(PLAIN)
    options = place.options(boxes=(f"one@{place.box('one')}",))
    with pytest.raises(ConfigError, match="was given on the command line"):
        change_box(options, "one", "mode", "archive")
    with pytest.raises(ConfigError, match="there is no box 'two'"):
        change_box(options, "two", "mode", "archive")


@pytest.mark.parametrize(
    "form",
    [
        '[box]\nold = {base_path = "{old}"}\n',
        'box.old.base_path = "{old}"\n',
        '[box.old]\nbase_path = "{old}"\n[program]\npace = "max"\n'
        '[box.other]\nbase_path = "{other}"\n',
    ],
    ids=["inline", "dotted", "apart"],
)
def test_all_that_toml_has_for_a_table(place: Place, form: str) -> None:
    old, other, new = place.box("old"), place.box("other"), place.box("new")
    boxes = form.replace("{old}", str(old)).replace("{other}", str(other))
    options = place.write(f"{TOML}\n{boxes}")
    assert change_box(options, "old", "mode", "archive").boxes[0].mode == "archive"
    assert change_box(options, "old", "mode", "sync").boxes[0] == BoxSettings("old", str(old))
    assert "new" in {box.name for box in add_box(options, BoxSettings("new", str(new))).boxes}
    assert "old" not in {box.name for box in remove_box(options, "old").boxes}


def test_a_box_of_a_list_beside_tables_is_for_a_person(place: Place) -> None:
    one, two = place.box("one"), place.box("two")
    options = place.write(f'{TOML}\n[program]\nbox = ["{one}"]\n[box.two]\nbase_path = "{two}"\n')
    with pytest.raises(ConfigError, match="the box one is in a list"):
        change_box(options, "one", "mode", "archive")
    with pytest.raises(ConfigError, match="the box one is in a list"):
        remove_box(options, "one")
    assert len(load(options).boxes) == 2


@pytest.mark.parametrize("mode", [0o660, 0o600, 0o444])
def test_the_mode_stays_whatever_the_umask_takes(place: Place, mode: int) -> None:
    options = place.write(PLAIN)
    place.config.chmod(mode)
    before = os.umask(0o077)
    try:
        add_box(options, BoxSettings("new", str(place.box("new"))))
    finally:
        os.umask(before)
    assert place.config.stat().st_mode & 0o777 == mode


def test_an_edit_never_undoes_another(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two commands read, then both write: the second one sees that the file is another by then."""
    options = place.write(PLAIN)
    one, two = place.box("one"), place.box("two")
    loaded = edit.load

    def meanwhile(*arguments: Any) -> NodeSettings:
        monkeypatch.setattr(edit, "load", loaded)
        add_box(options, BoxSettings("one", str(one)))
        return loaded(*arguments)

    monkeypatch.setattr(edit, "load", meanwhile)
    with pytest.raises(ConfigError, match="has changed meanwhile; try again"):
        add_box(options, BoxSettings("two", str(two)))
    assert [box.name for box in load(options).boxes] == ["one"]
    add_box(options, BoxSettings("two", str(two)))
    assert [box.name for box in load(options).boxes] == ["one", "two"]


def all_said(place: Place, **more: object) -> Options:
    """Options with which no file is needed, and none is there."""
    return place.options(config=None, hostnames=NODES[:1], nodes=NODES[1:], **more)


def test_a_box_is_added_where_all_was_said_on_the_command_line(place: Place) -> None:
    options, box = all_said(place), BoxSettings("new", str(place.box("new")))
    made = Path(os.environ["HOME"], ".flocksy")
    assert add_box(options, box).boxes == (box,)
    assert made.stat().st_mode & 0o777 == 0o600
    assert load(options).boxes == (box,), "also when it starts again"
    assert remove_box(options, "new").boxes == ()


def test_a_file_that_somebody_makes_meanwhile_is_not_replaced(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    options, made = all_said(place), Path(os.environ["HOME"], ".flocksy")
    loaded = edit.load

    def meanwhile(*arguments: Any) -> NodeSettings:
        made.write_text("# by hand\n")
        return loaded(*arguments)

    monkeypatch.setattr(edit, "load", meanwhile)
    with pytest.raises(ConfigError, match="has changed meanwhile; try again"):
        add_box(options, BoxSettings("new", str(place.box("new"))))
    assert made.read_text() == "# by hand\n"


def test_a_box_of_the_command_line_needs_no_file_to_be_named(place: Place) -> None:
    options = all_said(place, boxes=(f"one@{place.box('one')}",))
    for change in (
        lambda: remove_box(options, "one"),
        lambda: change_box(options, "one", "paused", True),
    ):
        with pytest.raises(ConfigError, match="the box one was given on the command line"):
            change()
