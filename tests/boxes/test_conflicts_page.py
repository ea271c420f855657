"""Every row of the table in `docs/conflicts.md`, through real boxes.

All rows are played at once, each in a directory of its own: something is there, then two members
do something at the same time, neither having heard of the other, and a third looks on.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from flocksy.sync.names import owner_of_copy
from tests.boxes.flock_of_boxes import Flock, flock, spool

__all__ = ["flock", "spool"]

PAGE = Path(__file__).parents[2] / "docs" / "conflicts.md"

DIRECTORY = "a directory"
Seen = frozenset[tuple[str, str]]
"""What stands below a directory: (name, content); a conflict copy as its owner's name and a "*", a
copy of a copy with one more."""


class Place:
    """One row's directory in the box of one member."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def write(self, name: str, text: str, mtime_s: int | None = None) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o644)
        if mtime_s is not None:
            os.utime(path, (mtime_s, mtime_s))

    def mkdir(self, name: str) -> None:
        (self.root / name).mkdir(parents=True)

    def link(self, name: str, text: str) -> None:
        (self.root / name).parent.mkdir(parents=True, exist_ok=True)
        os.symlink(text, self.root / name)

    def chmod(self, name: str, mode: int) -> None:
        (self.root / name).chmod(mode)

    def delete(self, name: str) -> None:
        path = self.root / name
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()

    def move(self, name: str, to: str) -> None:
        (self.root / to).parent.mkdir(parents=True, exist_ok=True)
        os.rename(self.root / name, self.root / to)

    def copy(self) -> str:
        """The name of the one conflict copy."""
        (found,) = self.root.glob("*.conflict-*")
        return found.name

    def seen(self, *, modes: bool, times: bool) -> Seen:
        found = set()
        for path in self.root.rglob("*"):
            shown = str(path.relative_to(self.root))
            while owner := owner_of_copy(shown.rstrip("*")):
                shown = f"{owner[0]}{shown[len(shown.rstrip('*')) :]}*"
            if path.is_symlink():
                content = f"-> {os.readlink(path)}"
            elif path.is_dir():
                content = DIRECTORY
            else:
                content = path.read_text()
                content += f" {path.stat().st_mode & 0o777:o}" if modes else ""
                content += f" {path.stat().st_mtime:.0f}" if times else ""
            found.add((shown, content))
        return frozenset(found)


Act = Callable[[Place], None]


def nothing(_: Place) -> None:
    pass


@dataclass(frozen=True)
class Row:
    """`here` and `there` as on the page; `given`: what everybody has before; `ours` and `theirs`:
    what is done. `ends`: what everybody may have then. `conflict`: before that the two have edited
    `n` at once. `modes`, `times`: files are told apart by them as well. `kept`: of these contents
    what does not show is in the history of one of the two."""

    here: str
    there: str
    given: Act
    ours: Act
    theirs: Act
    ends: tuple[Seen, ...]
    conflict: bool = False
    modes: bool = False
    times: bool = False
    kept: frozenset[str] = frozenset()


def has(*entries: tuple[str, str]) -> Seen:
    return frozenset(entries)


def either(name: str, one: str, other: str, *rest: tuple[str, str]) -> tuple[Seen, ...]:
    """One of two at a path, the other as a copy."""
    return (
        has((name, one), (f"{name}*", other), *rest),
        has((name, other), (f"{name}*", one), *rest),
    )


def write(name: str, text: str, mtime_s: int | None = None) -> Act:
    return lambda place: place.write(name, text, mtime_s)


def delete(name: str) -> Act:
    return lambda place: place.delete(name)


def move(name: str, to: str) -> Act:
    return lambda place: place.move(name, to)


def chmod(mode: int) -> Act:
    return lambda place: place.chmod("n", mode)


def touch(mtime_s: int) -> Act:
    return lambda place: os.utime(place.root / "n", (mtime_s, mtime_s))


def link(name: str, text: str) -> Act:
    return lambda place: place.link(name, text)


def then(*acts: Act) -> Act:
    def do(place: Place) -> None:
        for act in acts:
            act(place)

    return do


def with_copy(act: Callable[[Place, str], None]) -> Act:
    return lambda place: act(place, place.copy())


N = write("n", "old")
D = write("d/f", "old")
EDIT = write("n", "edited")
DELETED_COPY = with_copy(lambda place, copy: place.delete(copy))

ROWS = (
    Row(
        "edit", "edit, other content", N, EDIT, write("n", "other"), either("n", "edited", "other")
    ),
    Row("edit", "edit, same content", N, EDIT, EDIT, (has(("n", "edited")),)),
    Row("edit", "delete", N, EDIT, delete("n"), (has(("n", "edited")),)),
    Row(
        "edit",
        "chmod or touch",
        N,
        EDIT,
        chmod(0o600),
        (has(("n", "edited 644")),),
        modes=True,
    ),
    Row(
        "edit",
        "chmod or touch",
        N,
        write("n", "edited", 1_000_000_000),
        touch(1_100_000_000),
        (has(("n", "edited 1000000000")),),
        times=True,
    ),
    Row(
        "edit, then chmod",
        "edit",
        N,
        then(EDIT, chmod(0o600)),
        write("n", "other"),
        (
            has(("n", "edited 600"), ("n*", "other 644")),
            has(("n", "other 644"), ("n*", "edited 600")),
        ),
        modes=True,
    ),
    Row(
        "chmod",
        "chmod, other mode",
        N,
        chmod(0o600),
        chmod(0o640),
        (has(("n", "old 600")), has(("n", "old 640"))),
        modes=True,
    ),
    Row("chmod", "delete", N, chmod(0o600), delete("n"), (has(("n", "old 600")),), modes=True),
    Row("delete", "delete", N, delete("n"), delete("n"), (has(),)),
    Row(
        "new file",
        "new file of that name, other content",
        nothing,
        write("n", "one"),
        write("n", "two"),
        either("n", "one", "two"),
    ),
    Row(
        "new file",
        "new file of that name, same content",
        nothing,
        write("n", "same", 1_000_000_000),
        write("n", "same", 1_100_000_000),
        (has(("n", "same 1000000000")), has(("n", "same 1100000000"))),
        times=True,
    ),
    Row(
        "new directory",
        "new directory of that name",
        nothing,
        write("d/one", "1"),
        write("d/two", "2"),
        (has(("d", DIRECTORY), ("d/one", "1"), ("d/two", "2")),),
    ),
    Row(
        "new file `p`",
        "new directory `p` with something in it",
        nothing,
        write("p", "a file"),
        write("p/q", "below"),
        (has(("p", DIRECTORY), ("p/q", "below"), ("p*", "a file")),),
    ),
    Row(
        "new file `p`",
        "new empty directory `p`",
        nothing,
        write("p", "a file"),
        lambda place: place.mkdir("p"),
        (has(("p", "a file")), has(("p", DIRECTORY), ("p*", "a file"))),
    ),
    Row(
        "new link `p`",
        "new file `p`",
        nothing,
        link("p", "nowhere"),
        write("p", "a file"),
        either("p", "-> nowhere", "a file"),
    ),
    Row(
        "directory deleted",
        "a file put into it",
        D,
        delete("d"),
        write("d/new", "new"),
        (has(("d", DIRECTORY), ("d/new", "new")),),
    ),
    Row(
        "directory deleted",
        "a file in it edited",
        then(D, write("d/g", "old too")),
        delete("d"),
        write("d/f", "edited"),
        (has(("d", DIRECTORY), ("d/f", "edited")),),
    ),
    Row("directory deleted", "directory deleted", D, delete("d"), delete("d"), (has(),)),
    Row(
        "directory replaced by a file",
        "a file put into it",
        D,
        then(delete("d"), write("d", "a file")),
        write("d/new", "new"),
        (has(("d", DIRECTORY), ("d/new", "new"), ("d*", "a file")),),
    ),
    Row(
        "directory replaced by a link",
        "a file put into it",
        D,
        then(delete("d"), link("d", "nowhere")),
        write("d/new", "new"),
        (has(("d", DIRECTORY), ("d/new", "new"), ("d*", "-> nowhere")),),
    ),
    Row(
        "directory replaced by a file",
        "directory deleted",
        D,
        then(delete("d"), write("d", "a file")),
        delete("d"),
        (has(("d", "a file")),),
    ),
    Row(
        "file replaced by a directory with something in it",
        "edit",
        N,
        then(delete("n"), write("n/q", "below")),
        EDIT,
        (has(("n", DIRECTORY), ("n/q", "below"), ("n*", "edited")),),
    ),
    Row(
        "file replaced by an empty directory",
        "edit",
        N,
        then(delete("n"), lambda place: place.mkdir("n")),
        EDIT,
        (has(("n", "edited")), has(("n", DIRECTORY), ("n*", "edited"))),
    ),
    Row(
        "file replaced by a directory",
        "file replaced by a directory",
        N,
        then(delete("n"), write("n/one", "1")),
        then(delete("n"), write("n/two", "2")),
        (has(("n", DIRECTORY), ("n/one", "1"), ("n/two", "2")),),
    ),
    Row(
        "file replaced by a link",
        "edit",
        N,
        then(delete("n"), link("n", "nowhere")),
        EDIT,
        either("n", "-> nowhere", "edited"),
    ),
    Row(
        "file replaced by a link",
        "file replaced by a directory with something in it",
        N,
        then(delete("n"), link("n", "nowhere")),
        then(delete("n"), write("n/q", "below")),
        (has(("n", DIRECTORY), ("n/q", "below"), ("n*", "-> nowhere")),),
    ),
    Row(
        "link changed",
        "link changed otherwise",
        link("n", "old"),
        then(delete("n"), link("n", "one")),
        then(delete("n"), link("n", "two")),
        either("n", "-> one", "-> two"),
    ),
    Row(
        "rename `n` to `a`",
        "rename `n` to `b`",
        N,
        move("n", "a"),
        move("n", "b"),
        (has(("a", "old"), ("b", "old")),),
    ),
    Row(
        "rename `n` to `a`",
        "rename `n` to `a`",
        N,
        move("n", "a"),
        move("n", "a"),
        (has(("a", "old")),),
    ),
    Row(
        "rename `n` to `a`",
        "rename `m` to `a`",
        then(N, write("m", "other")),
        move("n", "a"),
        move("m", "a"),
        either("a", "old", "other"),
    ),
    Row(
        "rename `n` to `a`",
        "edit `n`",
        N,
        move("n", "a"),
        EDIT,
        (has(("a", "old"), ("n", "edited")),),
    ),
    Row("rename `n` to `a`", "delete `n`", N, move("n", "a"), delete("n"), (has(("a", "old")),)),
    Row(
        "rename `n` to `a`",
        "new file `a`",
        N,
        move("n", "a"),
        write("a", "new"),
        either("a", "old", "new"),
    ),
    Row(
        "rename `n` to `N`",
        "edit `n`",
        N,
        move("n", "N"),
        EDIT,
        (has(("N", "old"), ("n", "edited")),),
    ),
    Row(
        "rename `n` to `N`",
        "rename `n` to `N`",
        N,
        move("n", "N"),
        move("n", "N"),
        (has(("N", "old")),),
    ),
    Row(
        "`a` and `b` change names",
        "edit `a`",
        then(write("a", "was a"), write("b", "was b")),
        then(move("a", "c"), move("b", "a"), move("c", "b")),
        write("a", "edited"),
        either("a", "was b", "edited", ("b", "was a")),
    ),
    Row(
        "`a` and `b` change names",
        "`a` and `b` change names",
        then(write("a", "was a"), write("b", "was b")),
        then(move("a", "c"), move("b", "a"), move("c", "b")),
        then(move("a", "c"), move("b", "a"), move("c", "b")),
        (has(("a", "was b"), ("b", "was a")),),
    ),
    Row(
        "`a` to `b`, `b` to `c`, `c` to `a`",
        "the same the other way round",
        then(write("a", "was a"), write("b", "was b"), write("c", "was c")),
        then(move("c", "x"), move("b", "c"), move("a", "b"), move("x", "a")),
        then(move("a", "x"), move("b", "a"), move("c", "b"), move("x", "c")),
        tuple(
            has(*(entry for pair in chosen for entry in pair))
            for chosen in [
                (a, b, c)
                for a in (
                    (("a", "was c"), ("a*", "was b")),
                    (("a", "was b"), ("a*", "was c")),
                )
                for b in (
                    (("b", "was a"), ("b*", "was c")),
                    (("b", "was c"), ("b*", "was a")),
                )
                for c in (
                    (("c", "was b"), ("c*", "was a")),
                    (("c", "was a"), ("c*", "was b")),
                )
            ]
        ),
    ),
    Row(
        "directory `d` renamed to `e`",
        "a file put into `d`",
        D,
        move("d", "e"),
        write("d/new", "new"),
        (has(("e", DIRECTORY), ("e/f", "old"), ("d", DIRECTORY), ("d/new", "new")),),
    ),
    Row(
        "directory `d` renamed to `e`",
        "a file in `d` edited",
        D,
        move("d", "e"),
        write("d/f", "edited"),
        (has(("e", DIRECTORY), ("e/f", "old"), ("d", DIRECTORY), ("d/f", "edited")),),
    ),
    Row(
        "directory `d` renamed to `e`",
        "directory `d` renamed to `g`",
        D,
        move("d", "e"),
        move("d", "g"),
        (has(("e", DIRECTORY), ("e/f", "old"), ("g", DIRECTORY), ("g/f", "old")),),
    ),
    Row(
        "directory `d` renamed to `e`",
        "directory `d` deleted",
        D,
        move("d", "e"),
        delete("d"),
        (has(("e", DIRECTORY), ("e/f", "old")),),
    ),
    Row(
        "directory `d` moved into `e`",
        "directory `e` moved into `d`",
        then(D, write("e/g", "other")),
        move("d", "e/d"),
        move("e", "d/e"),
        (
            has(
                ("e", DIRECTORY),
                ("e/d", DIRECTORY),
                ("e/d/f", "old"),
                ("d", DIRECTORY),
                ("d/e", DIRECTORY),
                ("d/e/g", "other"),
            ),
        ),
    ),
    Row(
        "copy deleted",
        "nothing",
        N,
        DELETED_COPY,
        nothing,
        (has(("n", "ours")), has(("n", "theirs"))),
        conflict=True,
    ),
    Row(
        "copy deleted",
        "copy deleted",
        N,
        DELETED_COPY,
        DELETED_COPY,
        (has(("n", "ours")), has(("n", "theirs"))),
        conflict=True,
    ),
    Row(
        "copy edited",
        "nothing",
        N,
        with_copy(lambda place, copy: place.write(copy, "edited")),
        nothing,
        (has(("n", "ours"), ("n*", "edited")), has(("n", "theirs"), ("n*", "edited"))),
        conflict=True,
    ),
    Row(
        "copy edited",
        "copy edited otherwise",
        N,
        with_copy(lambda place, copy: place.write(copy, "edited")),
        with_copy(lambda place, copy: place.write(copy, "otherwise")),
        tuple(
            has(("n", owner), ("n*", at_the_path), ("n**", beside))
            for owner in ("ours", "theirs")
            for at_the_path, beside in (("edited", "otherwise"), ("otherwise", "edited"))
        ),
        conflict=True,
    ),
    Row(
        "copy moved over its owner",
        "nothing",
        N,
        with_copy(lambda place, copy: place.move(copy, "n")),
        nothing,
        (has(("n", "ours")), has(("n", "theirs"))),
        conflict=True,
    ),
    Row(
        "owner edited",
        "nothing",
        N,
        EDIT,
        nothing,
        (has(("n", "edited"), ("n*", "ours")), has(("n", "edited"), ("n*", "theirs"))),
        conflict=True,
    ),
    Row(
        "owner deleted",
        "nothing",
        N,
        delete("n"),
        nothing,
        (has(("n", "ours")), has(("n", "theirs"))),
        conflict=True,
    ),
    Row("owner deleted", "copy deleted", N, delete("n"), DELETED_COPY, (has(),), conflict=True),
    Row(
        "edit inside `.git`, `.hg` or `.svn`",
        "another edit",
        write(".git/refs/n", "old"),
        write(".git/refs/n", "one ref"),
        write(".git/refs/n", "other ref"),
        tuple(
            has((".git", DIRECTORY), (".git/refs", DIRECTORY), (".git/refs/n", text))
            for text in ("one ref", "other ref")
        ),
        kept=frozenset(("one ref", "other ref")),
    ),
)


def place(flock: Flock, lane: int, number: int) -> Place:
    folder = flock.path(lane, f"row {number}")
    folder.mkdir(exist_ok=True)
    return Place(folder)


def test_every_row(flock: Flock) -> None:
    def play(act: Callable[[Row], Act], lane: int) -> None:
        for number, row in enumerate(ROWS):
            act(row)(place(flock, lane, number))

    play(lambda row: row.given, 0)
    flock.settle_equal()
    play(lambda row: write("n", "ours") if row.conflict else nothing, 0)
    play(lambda row: write("n", "theirs") if row.conflict else nothing, 1)
    flock.settle_equal()
    play(lambda row: row.ours, 0)
    play(lambda row: row.theirs, 1)
    flock.settle_equal()
    histories = {
        one.read_text() for lane in (0, 1) for one in flock.history(lane) if not one.is_symlink()
    }
    wrong = []
    for number, row in enumerate(ROWS):
        seen = place(flock, 2, number).seen(modes=row.modes, times=row.times)
        lost = row.kept - {content for _, content in seen} - histories
        if seen not in row.ends or lost:
            wrong.append(f"{row.here} | {row.there}: {sorted(seen)} {sorted(lost)}")
    assert not wrong, "\n".join(wrong)


def test_the_page_has_the_rows_that_are_tested() -> None:
    told = [
        tuple(cell.strip() for cell in line.strip("|\n").split("|")[:2])
        for line in PAGE.read_text(encoding="utf-8").splitlines()
        if re.match(r"\| (?!here \|)[^-]", line)
    ]
    assert told == list(dict.fromkeys((row.here, row.there) for row in ROWS))
