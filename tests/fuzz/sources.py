"""What code a target is of, so that executions count for that code alone.

That is: what of `tests/fuzz` the target's function rests on, name by name, and the whole modules of
`flocksy` that these parts and the target itself name. What such a module imports in turn is not
counted: it would be nearly everything for each target.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from tests.fuzz.target import Target

ROOT = Path(__file__).parents[2]
PLAIN = "flocksy/errors.py"
"""Names of errors, which every decoder uses and none rests on."""


def digest(target: Target) -> str:
    """Another one for each state of the code that the target is of."""
    found = hashlib.sha256()
    for part, source in sorted(_parts(target).items()):
        found.update(repr((part, source)).encode())
    return found.hexdigest()[:16]


def modules(target: Target) -> list[str]:
    """Files of `flocksy` that count as the target's code."""
    return [part for part in sorted(_parts(target)) if part.startswith("flocksy/")]


def _parts(target: Target) -> dict[str, str]:
    """Source by file of `flocksy`, and by file and name in `tests/fuzz`."""
    found: dict[str, str] = {}
    first, *others = target.of.split(", ")
    for path in (first, *(str(Path(first).with_name(name)) for name in others)):
        found[f"flocksy/{path}"] = (ROOT / "flocksy" / path).read_text()
    waiting = [(_file(target.check.__module__), target.check.__qualname__)]
    while waiting:
        file, name = waiting.pop()
        if file is None or f"{file} {name}" in found:
            continue
        if file.startswith("flocksy/"):
            if file != PLAIN:
                found[file] = (ROOT / file).read_text()
            continue
        definitions = _definitions(file)
        for defined in definitions.get(name, ()):
            if isinstance(defined, ast.ImportFrom):
                module, real = _imported(defined, name)
                inner = _file(f"{module}.{real}")
                waiting.append((inner or _file(module), real))
                continue
            found[f"{file} {name}"] = found.get(f"{file} {name}", "") + ast.unparse(defined)
            waiting += [(file, one) for one in _used(defined) if one in definitions]
    return found


def _used(statement: ast.stmt) -> set[str]:
    """Names that it takes from its module."""
    inner = {one.arg for one in ast.walk(statement) if isinstance(one, ast.arg)}
    names = [one for one in ast.walk(statement) if isinstance(one, ast.Name)]
    inner |= {one.id for one in names if isinstance(one.ctx, ast.Store)}
    return {one.id for one in names} - inner


def _file(module: str) -> str | None:
    """Of a module of ours, from the root of the repository."""
    if not module.startswith(("flocksy.", "tests.fuzz.")):
        return None
    path = Path(*module.split("."))
    for one in (path.with_suffix(".py"), path / "__init__.py"):
        if (ROOT / one).exists():
            return one.as_posix()
    return None


def _imported(statement: ast.ImportFrom, name: str) -> tuple[str, str]:
    """The module, and what the name is called there."""
    assert statement.module is not None and not statement.level
    real = next(one.name for one in statement.names if name == (one.asname or one.name))
    return statement.module, real


@cache
def _definitions(file: str) -> dict[str, list[ast.stmt]]:
    """The statements of a module that give a name its value."""
    found: dict[str, list[ast.stmt]] = {}
    for statement in ast.parse((ROOT / file).read_text()).body:
        for name in _names(statement):
            found.setdefault(name, []).append(statement)
    return found


def _names(statement: ast.stmt) -> Iterator[str]:
    match statement:
        case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
            yield name
        case ast.ImportFrom(names=names):
            yield from (one.asname or one.name for one in names)
        case ast.Assign() | ast.AnnAssign():
            for one in ast.walk(statement):
                if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store):
                    yield one.id
