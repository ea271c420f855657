"""Loading: both formats, the command line, and every refusal with its place and its remedy."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import pytest

from flocksy.config.load import MAX_ELSEWHERE, load, load_words, must_join_anew, reload
from flocksy.config.settings import BoxSettings, Symlinks
from flocksy.config.together import (
    LEAST_BURST_CELLS,
    LEAST_EVERY,
    LONGEST_BURST_SECONDS,
    PADDED_CELLS,
    _padded,
)
from flocksy.errors import ConfigError, FlocksyError, KeyFileError
from flocksy.keys.files import create_private_keys, generate_pair
from flocksy.keys.pair import uid_of
from flocksy.protocol.cell import MAX_DELTA_US
from flocksy.protocol.padding import MIN_BURST_CELLS, POWERS_BELOW_CELLS, padded
from flocksy.protocol.parameters import MIN_LEAD_ROUNDS
from flocksy.protocol.schedule import rate_delta_us
from flocksy.protocol.timing import SLOT_ROUNDS
from flocksy.seam.limits import MAX_LANES
from tests.place import NODES, PLAIN, TOML, Place

ORIGINAL = """\
#
# Config file for flocksy
#

[program]
hostname = anna.example:5000
node = ben.example:5000
box = mainbox@{box}

[mainbox]
{{
    "base_path" : "{box}",{stray}
    "symlinks"  : '0'               // 0=follow, 1=ignore, 2=copy
}}
"""


@pytest.mark.parametrize("text", [PLAIN, "[program]\n" + PLAIN, TOML])
def test_both_formats_say_the_same(place: Place, text: str) -> None:
    settings = load(place.write(text))
    assert settings.identity == NODES[0]
    assert settings.key_pair == place.pair
    assert {member.endpoints for member in settings.members} == {(node,) for node in NODES}
    assert settings.uids == tuple(sorted(settings.uids))
    assert settings.uids[settings.lane] == settings.uid == uid_of(place.pair.public_key)
    assert settings.boxes == ()


def test_defaults_are_the_balanced_profile(place: Place) -> None:
    settings = load(place.write(PLAIN))
    assert (settings.profile, settings.pace, settings.period_ms) == ("balanced", "max", 250)
    assert (settings.idle_cell, settings.burst_cell, settings.max_rate) == (1024, 65536, 0)
    assert (settings.min_view, settings.stall_timeout_ms) == (2, 5000)
    assert (settings.rest_mean_ms, settings.announce_delay_mean_ms) == (2000, 500)
    assert settings.outside_delay_mean_ms == 60_000


@pytest.mark.parametrize(
    ("profile", "period_ms", "announce_ms", "outside_ms"),
    [("fast", 100, 50, 0), ("quiet", 2000, 10_000, 600_000)],
)
def test_profiles_can_be_overridden_in_part(
    place: Place, profile: str, period_ms: int, announce_ms: int, outside_ms: int
) -> None:
    settings = load(place.write(f'{TOML}profile = "{profile}"\nrest = 1.5\n'))
    assert settings.period_ms == period_ms
    assert settings.announce_delay_mean_ms == announce_ms
    assert settings.outside_delay_mean_ms == outside_ms
    assert settings.rest_mean_ms == 1500


@pytest.mark.parametrize("words", [PLAIN, TOML], ids=["original", "toml"])
def test_a_delay_of_its_own(place: Place, words: str) -> None:
    assert load(place.write(f"{words}outside_delay = 1.5\n")).outside_delay_mean_ms == 1500


@pytest.mark.parametrize(
    ("written", "rate"), [("0", 0), ("500K", 500_000), ("2.5M", 2_500_000), ("1g", 10**9)]
)
def test_rates_have_suffixes(place: Place, written: str, rate: int) -> None:
    assert load(place.write(f"{PLAIN}max_rate = {written}\n")).max_rate == rate


def test_flock_settings_are_canonical_and_complete(place: Place) -> None:
    settings = load(place.write(PLAIN))
    pairs = settings.flock_settings()
    assert [name for name, _ in pairs] == [
        "period_ms",
        "idle_cell",
        "burst_cell",
        "pace",
        "max_rate",
        "min_view",
        "settle_ms",
        "rest_mean_ms",
        "stall_timeout_ms",
        "burst_timing",
        "members",
    ]
    assert json.loads(dict(pairs)["members"]) == list(settings.uids)
    assert pickle.loads(pickle.dumps(settings)) == settings
    assert place.pair.private_key not in repr(settings)


def test_only_the_numbers_that_count_are_shared(place: Place) -> None:
    plain = dict(load(place.write(PLAIN)).flock_settings())
    assert plain["burst_timing"] == '["on-demand"]'
    words = "burst_timing = timetable\nburst_every = 600\nburst_cells = 512\nmax_rate = 1M\n"
    table = dict(load(place.write(PLAIN + words)).flock_settings())
    assert table["burst_timing"] == '["timetable",600000,512]'
    words = "burst_timing = constant\nmax_rate = 1M\n"
    always = load(place.write(PLAIN + words))
    assert dict(always.flock_settings())["burst_timing"] == '["constant",256]'
    assert always.rest_mean_ms == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("burst_timing = constant\n", "say how much: max_rate"),
        ("burst_timing = timetable\n", "say how much: max_rate"),
        ("burst_timing = timetable\nmax_rate = 1M\nburst_cells = 20000\n", "more than 1 GiB"),
        ("burst_timing = timetable\nmax_rate = 1M\nburst_every = 10.1\n", "not a multiple of"),
        (
            "burst_timing = timetable\nprofile = quiet\nmax_rate = 1M\nburst_every = 16\n",
            "burst_every = 16 is too short for a period of 2 s; at least 18",
        ),
        ("burst_timing = sometimes\n", "burst_timing"),
        (
            "burst_timing = constant\nmax_rate = 100K\n",
            r"256 cells of 65536 bytes takes 168 s .* choose fewer .*, or a max_rate of 280K at",
        ),
        ("burst_timing = timetable\nmax_rate = 279K\n", "takes 61 s at max_rate = 279000"),
        ("burst_timing = constant\nburst_cells = 513\nmax_rate = 600K\n", "1024 cells"),
        ("burst_timing = timetable\nburst_cells = 1025\nmax_rate = 1M\n", "1025 cells"),
        ("max_rate = 69K\n", r"64 cells of 65536 bytes takes 61 s .* choose smaller cells"),
    ],
)
def test_a_timing_that_cannot_be_kept_is_refused(place: Place, words: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        load(place.write(PLAIN + words))


def test_the_need_of_a_timetable_has_gone_before_its_next_instant() -> None:
    assert LEAST_EVERY == SLOT_ROUNDS + MIN_LEAD_ROUNDS


@pytest.mark.parametrize(
    "words",
    [
        "max_rate = 70K\n",
        "burst_timing = constant\nmax_rate = 280K\n",
        "burst_timing = constant\nburst_cells = 64\nmax_rate = 100K\n",
        "burst_cell = 4096\nmax_rate = 16K\n",
    ],
)
def test_a_burst_may_take_a_minute(place: Place, words: str) -> None:
    assert load(place.write(PLAIN + words)).max_rate


def test_it_is_measured_as_long_as_it_will_be() -> None:
    assert LEAST_BURST_CELLS == MIN_BURST_CELLS and PADDED_CELLS == POWERS_BELOW_CELLS
    sizes = range(LEAST_BURST_CELLS, 2 * PADDED_CELLS)
    assert all(_padded(cells) == padded(cells) for cells in sizes if cells <= PADDED_CELLS)
    assert all(_padded(cells) <= padded(cells) <= _padded(cells) * 1.12 for cells in sizes)


def test_the_slowest_cells_that_are_taken_can_be_shown(place: Place) -> None:
    slowest = LEAST_BURST_CELLS * 1048576 // LONGEST_BURST_SECONDS + 1
    settings = load(place.write(f"{PLAIN}burst_cell = 1048576\nmax_rate = {slowest}\n"))
    assert 0 < rate_delta_us(settings.burst_cell, settings.max_rate) <= MAX_DELTA_US


def test_the_original_block_format_loads_without_the_stray_text(place: Place) -> None:
    box = place.box("main")
    settings = load(place.write(ORIGINAL.format(box=box, stray="")))
    assert settings.boxes == (BoxSettings("mainbox", str(box), Symlinks.FOLLOW),)


def test_the_stray_text_is_named_with_file_line_and_block(place: Place) -> None:
    options = place.write(ORIGINAL.format(box=place.box("main"), stray="dwad"))
    with pytest.raises(ConfigError) as caught:
        load(options)
    assert str(caught.value) == (
        f"{place.config}:12: in the block [mainbox]: expected a setting in quotes, found 'dwad'"
    )


def test_paths_of_boxes_hold_at_signs_and_comments_need_space(place: Place) -> None:
    odd = place.box("a@b#c")
    settings = load(place.write(f"{PLAIN}box = name@{odd} # ours\n"))
    assert settings.boxes == (BoxSettings("name", str(odd)),)


def test_the_command_line_adds_to_the_file(place: Place) -> None:
    place.write(f"{PLAIN.replace('node = tcp://cleo', '# ')}box = one@{place.box('one')}\n")
    two, three = place.box("two@x"), place.box("three")
    settings = load(place.options(nodes=("cleo.example:5000",), boxes=(f"two@{two}", str(three))))
    assert len(settings.members) == 3
    assert [(box.name, box.path) for box in settings.boxes] == [
        ("one", str(two.parent / "one")),
        ("two", str(two)),
        ("three", str(three)),
    ]
    with pytest.raises(ConfigError, match="write NAME@/"):
        load(place.options(boxes=(str(two),)))


def test_the_command_line_may_repeat_a_box_but_not_move_it(place: Place) -> None:
    one, two = place.box("one"), place.box("two")
    place.write(f"{PLAIN}box = one@{one}\n")
    assert len(load(place.options(boxes=(f"one@{one}",))).boxes) == 1
    with pytest.raises(ConfigError, match=r"command line: --box: the box one is there twice"):
        load(place.options(boxes=(f"one@{two}",)))


def test_everything_may_be_said_on_the_command_line(place: Place) -> None:
    options = place.options(config=None, hostnames=NODES[:1], nodes=NODES[1:])
    assert len(load(options).members) == 3


def test_relative_paths_are_seen_from_the_file_or_from_here(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside, here = place.config.parent / "inside", place.box("here")
    inside.mkdir()
    monkeypatch.chdir(here.parent)
    place.write(f"{PLAIN}box = inside@./inside\nkeystore = keys/public\n")
    settings = load(place.options(keystore=None, boxes=("./here",)))
    assert [box.path for box in settings.boxes] == [str(inside), str(here)]


def test_several_hostnames_are_one_member(place: Place) -> None:
    settings = load(place.write(f"hostname = other.example:1\n{PLAIN}"))
    assert settings.identity == NODES[0]
    assert settings.hostnames == (NODES[0], "tcp://other.example:1")
    assert len(settings.members) == 3


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("hostnme = a:1", ":5: unknown setting 'hostnme'; did you mean hostname?"),
        ("colour = blue", ":5: unknown setting 'colour'; known are allow_small_view"),
        ("profile = quick", ":5: profile: should be 'fast', 'balanced' or 'quiet', not 'quick'"),
        ("profile = fast\nprofile = fast", ":6: profile is said a second time"),
        ("max_rate = much", ":5: max_rate: should be bytes per second"),
        ("max_rate = 5", ":5: max_rate: should be 0 for no limit, or at least 16K"),
        ("node = nobody", ":5: node: 'nobody' is no endpoint"),
        ("idle_cell = 100", ":5: idle_cell: should be greater than or equal to 256"),
        ("period = nan", ":5: period: "),
        ("period = 5.5", ":5: period: should be less than or equal to 5, not '5.5'"),
        ("min_view = 1", "min_view = 1 hides nobody"),
        ("min_view = 4", "min_view = 4 is more than the 3 members"),
        ("box = one", ":5: the box one has no path"),
        ("box = bad]name@/x", "cannot be a box's name"),
        ("what is this", ":5: 'what is this' is no line of the form key = value"),
        ("[box\n", ":5: '[box' is no line"),
        ("[one]\n{", "in the block [one]: the block has no closing }"),
        ('[one]\n{ "base_path" "x" }', ":6: in the block [one]: expected : after 'base_path'"),
        ('[one]\n{ "base_path" : x }', ":6: in the block [one]: expected a value, found 'x'"),
        ('[one]\n{ "colour" : 1 }', ":6: [one]: unknown setting 'colour'"),
        ('[one]\n{ "symlinks" : 3 }', ":6: [one]: symlinks: should be 0, 1 or 2, not '3'"),
        ("[one]\n{ } ]", ":6: in the block [one]: unexpected ']' after }"),
        ("[one]\n{ }\n[one]\n{ }", ":7: the box [one] is there twice"),
        ('[a]\n{ "base_path" : "C:\\x" }', "has a \\ that means nothing"),
    ],
)
def test_a_bad_line_is_named(place: Place, line: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(place.write(f"{PLAIN}{line}\n"))
    assert said in str(caught.value)
    assert str(caught.value).startswith(str(place.config))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ('colour = "blue"', ":4: unknown setting 'colour'"),
        ("node = 5", ":3: is not valid TOML"),
        ("socks = 5", ":4: socks: should be a valid string, not '5'"),
        ("x = = 1", ":4: is not valid TOML"),
        ('[box.one]\nbase_path = "/nowhere at all"', ":4: the box one: /nowhere at all does not"),
        ("[box.one]\ncolour = 1", ":5: [box.one]: unknown setting 'colour'"),
        ('[box]\none = "x"', "must be a table [box.one]"),
        ("program = 1", ":4: program must be a table"),
        ('[box.one]\nbase_path = "/"\nmode = "mirror"', ":6: [box.one]: mode: should be 'sync'"),
        ('[box.one]\nfolders = ["a/../b"]', "'a/../b' should be a folder inside the box"),
        ('[box.one]\nfolders = ["/a"]', "'/a' should be a folder inside the box"),
        ('[box.one]\nfolders = ["."]', "leave the word out to hold all of it"),
        (
            "[box.one]\nfolders = 5",
            ":5: [box.one]: folders: should be a list of folders of the box, not '5'",
        ),
        pytest.param(f"period = {'9' * 5000}", "number of thousands of digits", id="digits"),
        pytest.param(f"period = 0x{'f' * 5000}", ":4: period: ", id="digits of a period"),
        pytest.param(f"min_view = 0x{'f' * 5000}", ":4: min_view: ", id="digits of a view"),
        pytest.param(
            f'max_rate = "{"9" * 400}"', ":4: max_rate: should be bytes per", id="digits of a rate"
        ),
        pytest.param(
            f'[box.one]\nhistory_cap = "{"9" * 400}G"',
            ":5: [box.one]: history_cap: should be a share",
            id="digits of a size",
        ),
        pytest.param(
            f"[box.one]\nhistory_cap = 0x{'f' * 5000}",
            ":5: [box.one]: history_cap: should be a share",
            id="digits of a share",
        ),
    ],
)
def test_a_bad_line_of_toml_is_named(place: Place, lines: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(place.write(f"{TOML}{lines}\n"))
    if lines.startswith("node"):  # a word that is there twice: TOML itself refuses it
        said = ":4: is not valid TOML: cannot overwrite a value; write what repeats as a list"
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_small_view_needs_an_explicit_word(place: Place) -> None:
    assert load(place.write(f"{PLAIN}min_view = 1\nallow_small_view = true\n")).min_view == 1


def test_a_flock_needs_somebody_else_and_a_name(place: Place) -> None:
    with pytest.raises(ConfigError, match="no hostname"):
        load(place.write("node = ben.example:5000\n"))
    with pytest.raises(ConfigError, match="no node"):
        load(place.write("hostname = anna.example:5000\n"))
    with pytest.raises(ConfigError, match="this one 1"):
        load(place.write("hostname = anna.example:5000\nnode = anna.example:5000\n"))


def test_a_member_without_a_key_is_named(place: Place) -> None:
    with pytest.raises(KeyFileError, match=r"no public key for the node tcp://dora\.example:1"):
        load(place.write(f"{PLAIN}node = dora.example:1\n"))


def test_a_missing_or_unreadable_file_is_named(place: Place) -> None:
    with pytest.raises(ConfigError, match="does not exist"):
        load(place.options())
    place.config.mkdir()
    with pytest.raises(ConfigError, match=r"cannot be read \(Is a directory\); name a file .*-c"):
        load(place.options())


@pytest.mark.parametrize("content", [b"\x00\x01\x02", b"x" * 2_000_000])
def test_a_file_that_is_no_text_is_refused(place: Place, content: bytes) -> None:
    place.config.write_bytes(content)
    with pytest.raises(ConfigError, match="this is no config file"):
        load(place.options())


@pytest.mark.parametrize("indent", [None, 4])
def test_private_keys_in_place_of_a_configuration_are_not_repeated(
    place: Place, indent: int | None
) -> None:
    place.config.write_text(json.dumps(json.loads(place.privatekey.read_text()), indent=indent))
    with pytest.raises(ConfigError, match="holds private keys") as caught:
        load(place.options())
    assert place.pair.private_key not in str(caught.value)


def refused(place: Place, path: Path | str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        load(place.write(f"{PLAIN}box = one@{path}\n"))


def test_boxes_that_must_not_be_shared(place: Place) -> None:
    refused(place, place.root / "nothing", "does not exist; make it with mkdir")
    refused(place, place.keystore, "is not a directory|holds the keystore")
    refused(place, place.root / "home", "is or holds the home directory")
    refused(place, "/", "is or holds the home directory")
    refused(place, place.keystore.parent, "holds the keystore")
    inside = place.root / "home" / "state" / "flocksy"
    inside.mkdir(parents=True)
    refused(place, inside, "holds the state of this node")
    link = place.root / "link"
    link.symlink_to(place.keystore.parent)
    refused(place, link, "holds the keystore")


def test_boxes_lie_apart(place: Place) -> None:
    outer = place.box("outer")
    inner = outer / "inner"
    inner.mkdir()
    with pytest.raises(ConfigError, match=r":6: the box two: .* lie in each other"):
        load(place.write(f"{PLAIN}box = one@{outer}\nbox = two@{inner}\n"))
    with pytest.raises(ConfigError, match="there twice"):
        load(place.write(f"{PLAIN}box = one@{outer}\nbox = one@{inner}\n"))


def test_a_removable_box_may_be_away(place: Place) -> None:
    text = f'{TOML}[box.usb]\nbase_path = "{place.root}/usb"\nremovable = true\n'
    assert load(place.write(text)).boxes[0].removable


def test_a_flock_has_no_more_members_than_cells_have_room_for(place: Place) -> None:
    nodes = [f"tcp://node{number}.example:1" for number in range(MAX_LANES - 2)]
    keystore = json.loads(place.keystore.read_text())
    keystore |= {node: generate_pair().public_key for node in nodes}
    place.keystore.write_text(json.dumps(keystore))
    full = PLAIN + "".join(f"node = {node}\n" for node in nodes[:-1])
    assert len(load(place.write(full)).members) == MAX_LANES
    with pytest.raises(ConfigError, match=f"a flock has 2 to {MAX_LANES} members, this one"):
        load(place.write(f"{full}node = {nodes[-1]}\n"))


def test_reloading_says_what_takes_a_new_join(place: Place) -> None:
    settings = load(place.write(PLAIN))
    place.write(f"{PLAIN}box = one@{place.box('one')}\n")
    fresh = reload(settings, could_run=id)
    assert [box.name for box in fresh.boxes] == ["one"]
    assert must_join_anew(settings, fresh) == ()
    place.write(f"{PLAIN}pace = grid\n")
    assert must_join_anew(settings, reload(settings, could_run=id)) == ("pace",)
    place.write(f"{PLAIN}profile = fast\n")
    assert must_join_anew(settings, reload(settings, could_run=id))[0] == "profile"


def test_reloading_refuses_to_become_another_member(place: Place) -> None:
    settings = load(place.write(PLAIN))
    place.privatekey.unlink()
    create_private_keys(str(place.privatekey), (NODES[0],))
    keys = json.loads(place.keystore.read_text())
    keys.pop(NODES[0])
    place.keystore.write_text(json.dumps(keys))
    with pytest.raises(ConfigError, match="another member"):
        reload(settings, could_run=id)


def test_reloading_refuses_what_is_broken(place: Place) -> None:
    settings = load(place.write(PLAIN))
    place.write("nonsense")
    with pytest.raises(FlocksyError):
        reload(settings, could_run=id)


def test_where_else_our_own_key_is_said_to_be(place: Place) -> None:
    keys = json.loads(place.keystore.read_text())
    more = {f"tcp://old{number}.example:1": place.pair.public_key for number in range(9)}
    place.keystore.write_text(json.dumps(keys | more))
    assert load(place.write(PLAIN)).own_key_elsewhere == tuple(sorted(more))[:MAX_ELSEWHERE]
    place.keystore.write_text(json.dumps(keys))
    assert load(place.write(PLAIN)).own_key_elsewhere == ()


@pytest.mark.parametrize(
    "text",
    [
        'hostname = "anna.example:5000"\nkeystore = "/k\\u0000"\n',
        '[box.a]\nbase_path = "/srv/a\\u0000"\n',
        '[a]\n{"base_path" : "/srv/a\\u0000"}\n',
        'socks = "a\\u0000:1"\n',
    ],
)
def test_a_nul_that_an_escape_brings_in_is_refused(place: Place, text: str) -> None:
    with pytest.raises(ConfigError, match=r"config:\d: .*: (should|string should) "):
        load_words(place.write(text))


def test_what_is_wrong_in_the_middle_of_a_list_in_a_block_is_told(place: Place) -> None:
    place.config.write_bytes(b'[a]\n{"base_path" : "/srv/a", "folders" : ["a", "\xbe"]}\n')
    with pytest.raises(ConfigError, match=r"config:2: \[a\]: folders: "):
        load_words(place.options())
