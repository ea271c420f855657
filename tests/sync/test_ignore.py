"""`.flockignore` means what gitignore means; git itself is the judge."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flocksy.sync.holding import Choice
from flocksy.sync.ignore import IGNORE_FILE, MAX_PATTERNS, Ignore

GIT = shutil.which("git")

CASES = (
    # patterns, paths ("/" at the end: a directory), those that are left out
    ("*.o", ["a.o", "b/a.o", "a.oo", "o"], {"a.o", "b/a.o"}),
    ("build/", ["build", "build/", "x/build/", "build/keep"], {"build/", "x/build/", "build/keep"}),
    ("/build", ["build", "x/build"], {"build"}),
    ("*.log\n!keep.log", ["a.log", "keep.log"], {"a.log"}),
    ("logs/\n!logs/keep", ["logs/", "logs/keep"], {"logs/", "logs/keep"}),
    ("logs/*\n!logs/keep", ["logs/", "logs/keep", "logs/a"], {"logs/a"}),
    ("a/**/b", ["a/b", "a/x/b", "a/x/y/b", "b"], {"a/b", "a/x/b", "a/x/y/b"}),
    ("**/t", ["t", "a/t", "a/b/t/"], {"t", "a/t", "a/b/t/"}),
    ("doc/*.txt", ["doc/a.txt", "doc/x/a.txt", "x/doc/a.txt"], {"doc/a.txt"}),
    ("# a comment\n\n\\#file", ["#file", "# a comment"], {"#file"}),
    ("[ab].c", ["a.c", "c.c"], {"a.c"}),
    ("[)-**-+]", [")", "*", "+", "-"], {")", "*", "+"}),
    ("a\n!*\na", ["a", "a/"], {"a", "a/"}),
    ("caf\u00e9", ["caf\u00e9", "cafe\u0301"], {"caf\u00e9"}),
)


@pytest.mark.parametrize(("text", "paths", "out"), CASES, ids=[case[0] for case in CASES])
def test_what_patterns_leave_out(text: str, paths: list[str], out: set[str]) -> None:
    ignore = Ignore(text)
    assert not ignore.problems
    found = {
        path
        for path in paths
        if ignore.match(path.rstrip("/"), is_directory=path.endswith("/")) is not None
    }
    assert found == out


names = st.sampled_from(["a", "b", "ab", "a.b", "b.a"])
paths = st.lists(names, min_size=1, max_size=4).map("/".join)
parts = st.sampled_from(
    [
        "a",
        "b",
        "*",
        "a*",
        "*.b",
        "**",
        "?",
        "[ab]",
        "ab",
        "*a*b",
        "a*b*",
        "[!a]",
        "a?*",
        "***",
        "**a",
    ]
)
patterns = st.tuples(
    st.sampled_from(["", "!", "/", "!/"]),
    st.lists(parts, min_size=1, max_size=3).map("/".join),
    st.sampled_from(["", "/"]),
).map("".join)


def says_git(root: Path, text: str, asked: Sequence[str]) -> set[str]:
    """What git leaves out of `asked`, which are directories if they are in `root`."""
    assert GIT is not None
    if not (root / ".git").exists():
        subprocess.run([GIT, "init", "-q", str(root)], check=True)
    (root / ".gitignore").write_text(text)
    done = subprocess.run(
        [GIT, "-C", str(root), "check-ignore", "--no-index", "-z", "--stdin"],
        input="\0".join(asked).encode() + b"\0",
        capture_output=True,
        check=False,
    )
    assert done.returncode in (0, 1), done.stderr
    return {one for one in done.stdout.decode().split("\0") if one}


@pytest.mark.skipif(GIT is None, reason="git is not installed: nobody to compare with")
def test_git_says_the_same(tmp_path: Path) -> None:
    @settings(max_examples=80, deadline=None)
    @given(st.lists(patterns, min_size=1, max_size=5), st.lists(paths, min_size=1, max_size=30))
    def same(lines: list[str], asked: list[str]) -> None:
        text = "\n".join(lines)
        ignore = Ignore(text)
        with_folders = tmp_path / "with folders"
        for path in asked:
            (with_folders / path).mkdir(parents=True, exist_ok=True)
        for root in (tmp_path / "empty", with_folders):
            found = {
                path
                for path in asked
                if ignore.match(path, is_directory=root == with_folders) is not None
            }
            assert found == says_git(root, text, asked)

    same()


@pytest.mark.parametrize("line", ["!", "/", "x" * 5000])
def test_a_line_that_is_no_pattern_is_left_out_and_said(line: str) -> None:
    ignore = Ignore(f"*.o\n{line}\n*.tmp")
    assert [problem.split(":")[0] for problem in ignore.problems] == ["line 2"]
    assert ignore.match("a.o", is_directory=False) is not None
    found = ignore.match("a.tmp", is_directory=False)
    assert found is not None and found.line == 3


def test_no_pattern_takes_for_ever() -> None:
    ignore = Ignore("a*a*a*b\n*a*a*/*a*a*b\n" + "**/*a*" * 50 + "b\n" + "*a" * 1000 + "b")
    assert not ignore.problems
    ignore.match("a/" * 126 + "a", is_directory=False)
    began = time.process_time()
    ignore.match("/".join(["a" * 255] * 15), is_directory=False)
    # No measure of speed: what is not bounded runs for hours here.
    assert time.process_time() - began < 60


def test_too_many_patterns_are_left_out() -> None:
    ignore = Ignore("\n".join(f"f{number}" for number in range(MAX_PATTERNS + 1)))
    assert len(ignore.problems) == 1
    assert ignore.match("f0", is_directory=False) is not None
    assert ignore.match(f"f{MAX_PATTERNS}", is_directory=False) is None


def test_the_ignore_file_itself_is_always_held() -> None:
    choice = Choice(["photos"], ["*\n"])
    assert choice.holds(IGNORE_FILE, is_directory=False)
    assert not choice.holds("photos/a", is_directory=False)
    assert choice.explain("photos/a", is_directory=False) is not None


def test_a_name_that_is_no_text_is_matched_all_the_same() -> None:
    ignore = Ignore("*.o")
    assert ignore.match("\udcff.o", is_directory=False) is not None
    assert ignore.match("\udcff", is_directory=False) is None


def test_chosen_folders_and_the_way_to_them_are_held() -> None:
    choice = Choice(["a/b", "c"])
    held = {
        path
        for path in ("a", "a/b", "a/b/x", "a/x", "ab", "c", "c/d/e", "d", "cc", IGNORE_FILE)
        if choice.holds(path, is_directory=False)
    }
    assert held == {"a", "a/b", "a/b/x", "c", "c/d/e", IGNORE_FILE}
    assert Choice().holds("anything/at/all", is_directory=True)


def test_an_explanation_names_line_pattern_and_directory() -> None:
    choice = Choice([], ["# things\nnode_modules/\n"])
    assert choice.explain("a.txt", is_directory=False) is None
    assert choice.explain("js/node_modules/x/y.js", is_directory=False) == (
        "is ignored with js/node_modules/ by line 2 of .flockignore: node_modules/"
    )
    assert choice.depends_on_kind("node_modules")
    assert not choice.depends_on_kind("js")
    chosen = Choice(["photos"]).explain("mail/x", is_directory=False)
    assert chosen == "is outside the chosen folders of this node (photos)"


def test_a_run_of_stars_is_one() -> None:
    """Thirty of them, each a loop within the last, would take longer than anybody lives."""
    ignore = Ignore("*" * 30 + "a/" + "*" * 30 + "b\nx/***/y\n\\***z\n")
    assert ignore.problems == ()
    assert ignore.match("*" * 60 + "c", is_directory=False) is None
    for path in ("za/zb", "x/deep/y", "x/y", "*qz"):
        assert ignore.match(path, is_directory=False) is not None, path


def test_two_stars_alone_still_mean_any_depth() -> None:
    ignore = Ignore("a/**/b\n!**/keep\n** \n!**\n")
    assert ignore.match("a/x/y/b", is_directory=False) is None, "the last line takes all in"
    assert Ignore("a/**/b").match("a/x/y/b", is_directory=False) is not None


@pytest.mark.parametrize("pattern", ["[z-a]", "x[[:alpha:]y*", "[a&&b]"])
def test_a_set_that_cannot_be_read_in_one_way_is_left_out_and_said(pattern: str) -> None:
    ignore = Ignore(f"{pattern}\n*.o\n")
    assert ignore.problems == (f"line 1: {pattern!r} is no pattern of gitignore; it is left out",)
    assert ignore.match("a.o", is_directory=False) is not None
