"""One line of flocksy wrong: a mutant replaces some text of one module as that is imported.

That the text is there is checked, so a mutant cannot outlive the line it changes.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from types import CodeType, ModuleType


@dataclass(frozen=True, slots=True)
class Mutant:
    """`seeds`: among so many brief ones, one of its kind notices it. `plan`: or this run does, of
    those once found or made for it. `sign`: what it is noticed by."""

    name: str
    module: str
    old: str
    new: str
    boxes: bool = False
    seeds: int = 60
    plan: str = ""
    sign: str = "BrokenPromiseError"


class _Loader(SourceFileLoader):
    def __init__(self, name: str, path: str, mutant: Mutant) -> None:
        super().__init__(name, path)
        self._mutant = mutant

    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        source = self.get_data(path).decode()
        if source.count(self._mutant.old) != 1:
            raise LookupError(f"mutant {self._mutant.name!r}: its text is not in {path} once")
        return self.source_to_code(
            source.replace(self._mutant.old, self._mutant.new).encode(), path
        )


class _Finder(MetaPathFinder):
    def __init__(self, mutant: Mutant) -> None:
        self._mutant = mutant

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != self._mutant.module:
            return None
        del target
        for finder in sys.meta_path:
            if finder is not self:
                spec = finder.find_spec(fullname, path)
                if spec is not None and spec.origin is not None:
                    loader = _Loader(fullname, spec.origin, self._mutant)
                    return importlib.util.spec_from_file_location(
                        fullname, spec.origin, loader=loader
                    )
        return None


def import_mutated(mutant: Mutant) -> None:
    """Have the mutant imported in place of what it changes, which nobody must have imported yet."""
    assert mutant.module not in sys.modules, f"{mutant.module} is imported already"
    sys.meta_path.insert(0, _Finder(mutant))
