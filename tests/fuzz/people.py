"""Targets that take what a person writes: configurations in both formats, ignore files."""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache

from flocksy.config import document, edit, edit_nodes, places, together
from flocksy.config.document import MAX_CONFIG_BYTES
from flocksy.config.load import Words, load_words
from flocksy.config.settings import BoxSettings, Options, Symlinks
from flocksy.errors import ConfigError
from flocksy.sync import ignore as ignore_files
from flocksy.sync.ignore import IGNORE_FILE, Ignore
from tests.fuzz.target import Feed, Target, instead

PLACE = "/nowhere/config"
OPTIONS = Options(config=PLACE)


def text_of(data: bytes) -> str | None:
    """As `document.read_text` gives it; None where that refuses the bytes."""
    if b"\0" in data or len(data) > MAX_CONFIG_BYTES:
        return None
    return data.decode("utf-8-sig", "surrogateescape")


def config(data: bytes) -> None:
    """A configuration is refused in one line, or every path in it can be asked the system for."""
    text = text_of(data)
    if text is None:
        return
    try:
        words = load_words(OPTIONS, text)
        together.min_view(words.program, 3, PLACE)
        together.possinymity_floor(words.program, 3, PLACE)
        together.check_timing(words.program, 250, PLACE)
    except ConfigError as error:
        assert _one_line(error, text)
        return
    for path in (words.keystore_path, words.privatekey_path, words.state_dir):
        with suppress(OSError):
            os.stat(path or "/")
    try:
        places.check_boxes(words.boxes, {"configuration": PLACE}, "/nowhere/state")
    except ConfigError as error:
        assert _one_line(error, text)


def _one_line(error: ConfigError, text: str) -> bool:
    """What is quoted may be of several lines in a file that is."""
    return "\n" not in str(error) or "\n" in text or "\\n" in text or "\\u" in text


def edits(data: bytes) -> None:
    """A change by command is what the file says afterwards, and nothing else in it is another."""
    feed = Feed(data)
    which = feed.number() % 6
    text = text_of(feed.rest())
    if text is None:
        return
    try:
        before = load_words(OPTIONS, text)
    except ConfigError:
        return
    boxes = {box.name: box for box, _ in before.boxes}
    some = next(iter(boxes), "none")
    wanted = dict(boxes)
    nodes = list(before.nodes)
    act: Callable[[], object]
    match which:
        case 0:
            new = BoxSettings("fresh", "/srv/fresh # 1")
            act, wanted["fresh"] = (lambda: edit.add_box(OPTIONS, new)), new
        case 1:
            new = BoxSettings("fresh", "/srv/fresh", Symlinks.IGNORE, True, "archive", ("a/b",))
            act, wanted["fresh"] = (lambda: edit.add_box(OPTIONS, new)), new
        case 2:
            act = lambda: edit.remove_box(OPTIONS, some)  # noqa: E731
            wanted.pop(some, None)
        case 3:
            act = lambda: edit.change_box(OPTIONS, some, "paused", True)  # noqa: E731
            if some in wanted:
                wanted[some] = replace(wanted[some], paused=True)
        case 4:
            act = lambda: edit.change_box(OPTIONS, some, "folders", ())  # noqa: E731
            if some in wanted:
                wanted[some] = replace(wanted[some], folders=())
        case _:
            more, fewer = ["tcp://new.example:1"], nodes[:1]
            act = lambda: edit_nodes.change_nodes(OPTIONS, more, fewer)  # noqa: E731
            nodes = [*nodes[1:], *(node for node in more if node not in nodes[1:])]
            if fewer == more:
                nodes = list(before.nodes)
    after = _edited(act, text)
    if after is None:
        return
    assert {box.name: box for box, _ in after.boxes} == wanted
    assert sorted(after.nodes) == sorted(nodes)
    words = {"box": (), "node": ()}
    assert after.program.model_copy(update=words) == before.program.model_copy(update=words)


def _edited(act: Callable[[], object], text: str) -> Words | None:
    """What the file says after `act`; None where it refused."""
    written: list[str] = []

    def tried(_options: Options, _path: str, _before: str, new: str) -> None:
        load_words(OPTIONS, new)
        written.append(new)

    with instead(
        (document, "read_text", lambda _: text),
        (document, "replace_text", lambda _, new, __: written.append(new)),
        (edit, "_replace", tried),
        (os.path, "exists", lambda _: True),
    ):
        try:
            act()
        except ConfigError as error:
            assert str(error)
            return None
    return load_words(OPTIONS, written[-1] if written else text)


TOML = b"""# the flock
hostname = "anna.example:5000"
node = ["ben.example:5000", "cleo.example:5000"]
profile = 'fast'
max_rate = "2.5M"
burst_timing = "timetable"

[box.shared]
base_path = "/srv/shared"   # here
symlinks = 1
folders = ["a", "b/c"]

[box."other one"]
base_path = '/srv/other'
guard = "off"
history_cap = "20G"
"""
LINES = b"""# the flock
hostname = anna.example:5000
node = ben.example:5000
node = cleo.example:5000   # hers
box = shared@/srv/shared
period = 0.25
min_view = 2
"""
BLOCKS = b"""[program]
hostname = anna.example:5000
node = ben.example:5000
[mainbox]
{
    "base_path" : "/home/anna/shared",
    "symlinks"  : '2',              // 0=follow, 1=ignore, 2=copy
    "folders" : ["a", "b"], 'paused' : true
}
[second]
{ "base_path" : "/srv/\\u00fc \\"x\\"", # what for
  "guard": 30 }
"""


def configs() -> Iterable[bytes]:
    """Both formats, lists and tables, and some that are wrong."""
    yield TOML
    yield LINES
    yield BLOCKS
    yield b'[program]\nnode = "b:1"\nhostname = ["a:1"]\n[[box]]\nx = 1\n'
    yield b'box = ["a@/srv/a", "/srv/b"]\nnode = ["b:1"]\n'
    yield b'box.a.base_path = "/srv/a"\nnode = []\nbox.b = {base_path = "/b"}\n'
    yield b"\xef\xbb\xbfhostname = \xff:1\nperiod = nan\n"
    yield b'[b]\n{"base_path" : "/x\\ud800\\u0000"}\n'
    for number in (b"9" * 5000, b"0x" + b"f" * 4000, b'"' + b"9" * 400 + b'G"'):
        yield b'hostname = "a:1"\nperiod = ' + number
        yield b'hostname = "a:1"\n[box.a]\nhistory_cap = ' + number


def config_edits() -> Iterable[bytes]:
    """Each change to each file."""
    return (bytes([which]) + text for which in range(6) for text in configs())


_names = lru_cache(1 << 14)(ignore_files._name)
"""To compile a name costs more than all else, and most have been in an input before."""


def ignore(data: bytes) -> None:
    """Whatever an ignore file says, a path is judged, alike each time, and lines are told right.

    One input in 32 is read anew, with nothing kept, and asked in another order.
    """
    feed = Feed(data)
    path = feed.take(feed.number()).decode("utf-8", "surrogateescape").strip("/") or "a/b"
    text = feed.rest().decode("utf-8", "surrogateescape")
    with instead((ignore_files, "_name", _names)):
        rules = Ignore(text)
    lines = text.splitlines()
    assert len(rules.problems) <= len(lines)
    found = {kind: rules.match(path, is_directory=kind) for kind in (False, True)}
    for match in found.values():
        if match is not None:
            assert match.pattern == lines[match.line - 1].strip()
            assert path == match.path or path.startswith(match.path + "/")
    assert rules.match(IGNORE_FILE, is_directory=False) is None
    if not zlib.crc32(data) % 32:
        same = Ignore(text)
        assert same.problems == rules.problems
        for kind in (True, False):
            assert same.match(path, is_directory=kind) == found[kind]


def ignores() -> Iterable[bytes]:
    """gitignore's syntax, and what it says of paths."""
    for path in (b"a/b/c.txt", b"build", b"x.o", b"d\xff/e"):
        head = bytes([len(path)]) + path
        yield head + b"*.o\n!x.o\n/build/\n# no\n\\#yes\nd[a-z]/**/e\n**/c.txt\n"
        yield head + b"a/*\n!a/b\na/b/*.t?t\n[!x]*\n\\ \n"
        yield head + b"a*b*c*d\n" + b"*/" * 9 + b"\n" + b"***" * 3 + b"\n[\n"


def ignored_lines() -> Iterable[bytes]:
    """The same, one line at a time."""
    for whole in ignores():
        head, lines = whole[: 1 + whole[0]], whole[1 + whole[0] :].splitlines()
        yield from (head + line for line in lines)


_WORDS = (
    *(b"hostname", b"node", b"box", b"keystore", b"privatekey", b"state_dir", b"profile", b"pace"),
    *(b"max_rate", b"min_view", b"allow_small_view", b"idle_cell", b"burst_cell", b"period"),
    *(b"settle", b"rest", b"stall_timeout", b"burst_timing", b"burst_every", b"burst_cells"),
    *(b"announce_delay", b"possinymity_floor", b"socks", b"name", b"base_path", b"symlinks"),
    *(b"removable", b"mode", b"folders", b"paused", b"guard", b"history_cap", b"[program]"),
    b"xattrs",
    *(b"[box.", b"[[box]]", b" = ", b'"""', b"'''", b"true", b"1e999", b"nan", b"0x1", b"\\u0000"),
    *(
        b"1979-05-27T07:32:00Z",
        b"timetable",
        b"constant",
        b"send-only",
        b"10%",
        b"20G",
        b"#",
        b"//",
    ),
)
_SIGNS = (b"**/", b"/**", b"[!", b"\\", b"!")

TARGETS = (
    Target("pattern", "sync/ignore.py", ignore, ignored_lines, 80, _SIGNS),
    Target("ignore", "sync/ignore.py", ignore, ignores, 400, _SIGNS),
    Target("config", "config/load.py, original.py, toml_file.py", config, configs, 1000, _WORDS),
    Target("config_edit", "config/edit.py", edits, config_edits, 800, _WORDS),
)
