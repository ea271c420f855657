"""Random batches for a disk that folds names, and what somebody may do while one is cut off."""

from __future__ import annotations

import os
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from flocksy.boxes.apply.journal import IndexJournal
from flocksy.sync.names import ancestors
from flocksy.sync.operations import DiskOperation
from tests.boxes.bench import Bench

Tree = dict[str, bytes | None]
"""Content by path; of a directory None."""

THEIRS = b"by hand"


@dataclass(frozen=True, slots=True)
class Change:
    """A tree, and what a batch makes of it. `sources`: by new path the old one of what moves."""

    before: Tree
    after: Tree
    sources: dict[str, str]


@dataclass(frozen=True, slots=True)
class Act:
    """What somebody does to what stands at `path`: there or, with a new name, at `target`."""

    what: str
    path: str
    target: str


def parted(path: str) -> tuple[str, str]:
    folder, _, name = path.rpartition("/")
    return folder, name


def joined(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


def is_in(path: str, folders: Iterable[str]) -> bool:
    """Whether it is one of these, or below one, as the disk takes names."""
    folded = path.casefold()
    return any(folded == one or folded.startswith(one + "/") for one in map(str.casefold, folders))


class Drawing:
    """Draws a change: no two contents are equally long, and no two names differ by case only."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._made = 0
        self._after: Tree = {}

    def change(self) -> Change:
        before = self._tree()
        folders = {"": "", **dict(self._kept_folders(before))}
        sources: dict[str, str] = {}
        for path, data in before.items():
            target = self._target(path, folders) if data is not None else None
            if target is not None and self._chance.random() < 0.2:
                self._add(target, self._content())
            elif target is not None and self._add(target, data):
                sources[target] = path
        for _ in range(self._chance.randint(0, 2)):
            new = self._content() if self._chance.random() < 0.7 else None
            self._add(self._somewhere(folders, "abcqs"), new)
        return Change(before, self._after, sources)

    def _content(self) -> bytes:
        self._made += 1
        return b"c" * self._made

    def _tree(self) -> Tree:
        folders = self._chance.sample(["d", "e", "d/s"], self._chance.randint(1, 3))
        tree: Tree = dict.fromkeys(sorted({*folders, *(one.partition("/")[0] for one in folders)}))
        for folder in ("", *tree):
            for name in self._chance.sample("abc", self._chance.randint(0, 3)):
                tree[joined(folder, name)] = self._content()
        return tree

    def _kept_folders(self, before: Tree) -> Iterator[tuple[str, str]]:
        """Old name and new one of the directories that stay."""
        new_names = {"": ""}
        for path in [path for path, data in before.items() if data is None]:
            above, name = parted(path)
            if above in new_names and self._chance.random() > 0.12:
                new_names[path] = joined(new_names[above], self._spelt(name))
                self._add(new_names[path], None)
                yield path, new_names[path]

    def _target(self, path: str, folders: dict[str, str]) -> str | None:
        """Where a file goes: nowhere, or it stays but for the case, or it moves."""
        above, name = parted(path)
        drawn = self._chance.random()
        if drawn < 0.1:
            return None
        if drawn < 0.55 and above in folders:
            return joined(folders[above], self._spelt(name))
        return self._somewhere(folders, "abcnm")

    def _somewhere(self, folders: dict[str, str], names: str) -> str:
        folder = self._chance.choice(list(folders.values()))
        return joined(folder, self._spelt(self._chance.choice(names)))

    def _spelt(self, name: str) -> str:
        return name.upper() if self._chance.random() < 0.67 else name

    def _add(self, path: str, data: bytes | None) -> bool:
        if path.casefold() in {taken.casefold() for taken in self._after}:
            return False
        self._after[path] = data
        return True


def batch_of(bench: Bench, change: Change) -> list[DiskOperation]:
    """What a plan has for such a change."""
    before, after = change.before, change.after
    batch: list[DiskOperation] = []
    for path, data in sorted(after.items()):
        if path in before and before[path] == data:
            continue
        source = change.sources.get(path)
        if data is None:
            batch.append(bench.make_directory(path))
        else:
            batch.append(bench.put(path, data, source=None if source in after else source))
    gone = sorted(before.keys() - after.keys(), reverse=True)
    return batch + [bench.remove(path) for path in gone]


def tree_of(bench: Bench) -> Tree:
    return {
        path: bench.read(path) if (bench.root / path).is_file() else None for path in bench.paths()
    }


def drawn_act(chance: random.Random, tree: Tree) -> Act:
    path = chance.choice(sorted(tree))
    folder, name = parted(path)
    what = chance.choice(["case", "case", "case", "rename", "edit", "save", "delete", "new"])
    if what == "case":
        return Act(what, path, joined(folder, name.swapcase()))
    if what == "rename":
        return Act(what, path, path + "r")
    if tree[path] is None:
        return Act("new", path, path + "/zz")
    return Act(what, path, joined(folder, "zz") if what == "new" else path)


def do(bench: Bench, act: Act) -> None:
    path, target = bench.root / act.path, bench.root / act.target
    if act.what in ("case", "rename"):
        path.rename(target)
    elif act.what == "edit":
        bench.edit(act.path, THEIRS)
    elif act.what == "delete":
        path.unlink()
    else:
        saved = bench.root.parent / "saved"
        saved.write_bytes(THEIRS)
        os.replace(saved, target)


def is_known(bench: Bench, change: Change, act: Act) -> bool:
    """Whether a row of docs/known.md says what goes wrong after that."""
    linked = {path for path in bench.paths() if is_in(path, [act.path]) and has_two(bench, path)}
    if act.what == "rename":
        return bool(linked)  # B33: one of two names of a file becomes a third one
    if act.what != "case":
        return False
    if linked & change.sources.keys():
        return True  # B38: the new name of a rename gets another case before the old one is gone
    for new, old in respelled(change):
        if new.casefold() != act.path.casefold():
            continue
        if act.path == new and parted(act.target)[1] == parted(old)[1]:
            return True  # B32: it gets its old case back
        is_same = parted(act.path)[1] == parted(old)[1] == parted(new)[1]
        if is_same and (change.after[new] is None or is_on_its_way(bench, new)):
            return True  # B36: only its directory was to get another case, and its name gets one
    return False


def respelled(change: Change) -> Iterator[tuple[str, str]]:
    """New and old path of what stands in a directory that gets another case."""
    for new in change.after:
        for old in change.before:
            if new.casefold() == old.casefold() and parted(new)[0] != parted(old)[0]:
                yield new, old


def renamed_folders(change: Change) -> set[str]:
    """The directories that get another case themselves, as the disk takes names."""
    names = {path.casefold(): parted(path)[1] for path, data in change.before.items()}
    both = {path: names.get(path.casefold()) for path in change.after}
    return {path.casefold() for path, name in both.items() if name not in (None, parted(path)[1])}


def comes_along(change: Change, path: str) -> bool:
    """Whether it stands in a directory that gets another case."""
    return any(above.casefold() in renamed_folders(change) for above in ancestors(path))


def has_two(bench: Bench, path: str) -> bool:
    """Whether it is a file that has another name still."""
    return (bench.root / path).is_file() and (bench.root / path).stat().st_nlink > 1


def is_on_its_way(bench: Bench, path: str) -> bool:
    entries = IndexJournal(bench.index).recover()
    temporaries = [entry.temporary for entry in entries if entry.path == path and entry.temporary]
    return any((bench.root / one).exists() for one in temporaries)


def may_die_again(change: Change, act: Act | None) -> bool:
    """B37: an edit of what makes way for its other case, and the recovery dies when it has it."""
    if act is None or act.what not in ("edit", "save"):
        return True
    brought = change.after.keys() - change.before.keys()
    return not any(is_in(path, [act.path]) for path in brought)
