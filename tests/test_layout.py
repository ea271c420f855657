"""The architecture, held: who imports whom, how long files are, why each dependency is there."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "flocksy"

NEUTRAL = {"errors", "limits", "system", "seam"}
"""Anyone may import these; they import only each other."""

MAY_IMPORT = {
    # part: which other parts it may import, beside the neutral ones
    "protocol": set(),
    "sync": set(),
    "wire": {"protocol"},
    "index": {"sync"},
    "boxes": {"sync", "index"},
    "keys": set(),
    "config": {"keys"},
    "status": set(),
    "testing": {"protocol", "sync", "wire", "index", "boxes", "keys", "config", "status", "node"},
    "node": {"protocol", "sync", "wire", "index", "boxes", "keys", "config", "status"},
    "cli": {"node", "config", "keys", "status"},
    "__main__": {"cli"},
}

BOX_ROOMS: dict[str, set[str]] = {
    # room of `boxes`: which others it may import; "" is one open box
    "disk": set(),
    "scan": {"disk"},
    "apply": {"disk", "scan"},
    "content": {"disk", "apply"},
    "": {"disk", "scan", "apply", "content"},
    "lanes": {"disk", "content", ""},
    "past": {"disk", "scan", "apply", "content", ""},
}

FENCED = {
    # library: the modules that may import it
    "zmq": {"flocksy.wire", "flocksy.testing.flock"},
    "nacl": {"flocksy.keys", "flocksy.wire"},
    "sqlite3": {"flocksy.index"},
    "watchdog": {"flocksy.boxes.scan.watcher", "flocksy.boxes.scan.watches"},
    "spake2": {"flocksy.keys.pairing"},
    "pydantic": {"flocksy.config", "flocksy.status.control", "flocksy.status.commands"},
    "pathspec": {"flocksy.sync.ignore"},
    "tomlkit": {"flocksy.config"},
    "transitions": {"flocksy.protocol.machine"},
    "segno": {"flocksy.cli.picture"},
    "keyring": {"flocksy.cli.passphrase"},
}

PURE = ("protocol", "sync")
IMPURE_MODULES = {
    *("asyncio", "io", "logging", "multiprocessing", "os", "pathlib", "random"),
    *("secrets", "select", "selectors", "shutil", "signal", "socket", "sqlite3", "subprocess"),
    *("tempfile", "threading", "time", "uuid"),
}
"""What brings a clock, a disk, a network, a thread, randomness or a log."""

CLOCK_CALLS = {"now", "utcnow", "today"}
"""What of `datetime` reads a clock; the rest of it is arithmetic."""

LONG_FILES: dict[str, str] = {
    "flocksy/sync/messages.py": "every message beside its decoder",
}
"""Files of over 400 lines, and why. Adding one needs a reason that convinces."""

MAX_LINES = 400


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def dotted(path: Path) -> str:
    name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    return name.removesuffix(".__init__")


def imports(path: Path) -> Iterator[tuple[str, int]]:
    """Every module that a file imports, wherever in it, as far as it names modules; with its line.

    `from flocksy.system import locks` counts as `flocksy.system.locks`.
    """
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: write the whole name"
            assert node.module is not None
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                inside = ROOT.joinpath(*whole.split("."))
                is_module = inside.with_suffix(".py").exists() or inside.is_dir()
                yield (whole if is_module else node.module), node.lineno


def part_of(module: str) -> str:
    """ "flocksy.wire.link" is in the part "wire"; "flocksy" itself in ""."""
    return module.split(".")[1] if "." in module else ""


@pytest.mark.parametrize("path", modules(), ids=dotted)
def test_arrows_point_down_only(path: Path) -> None:
    part = part_of(dotted(path))
    allowed = NEUTRAL if part in NEUTRAL else NEUTRAL | MAY_IMPORT.get(part, set()) | {part}
    wrong = [
        f"line {line}: {module}"
        for module, line in imports(path)
        if module.split(".")[0] == "flocksy" and part_of(module) not in {"", *allowed}
    ]
    assert not wrong, f"{dotted(path)} must not import these"


def test_no_module_imports_itself_by_way_of_others() -> None:
    """Imports for types only, and those inside of functions, count: they are knowledge too."""
    imported = {dotted(path): {module for module, _ in imports(path)} for path in modules()}
    TopologicalSorter(imported).prepare()  # names the circle


def test_every_part_has_its_rule() -> None:
    parts = {part_of(dotted(path)) for path in modules()} - {""}
    assert parts <= NEUTRAL | set(MAY_IMPORT)


@pytest.mark.parametrize("room", BOX_ROOMS)
def test_the_rooms_of_boxes_stand_on_each_other(room: str) -> None:
    def room_of(module: str) -> str:
        inner = module.removeprefix("flocksy.boxes.").split(".")[0]
        return inner if inner in BOX_ROOMS else ""

    keeper = "flocksy.boxes.keeper"  # of all boxes, above everything here
    assert not [
        f"{dotted(path)}:{line} imports {module}"
        for path in modules()
        if dotted(path).startswith("flocksy.boxes.") and dotted(path) != keeper
        if room_of(dotted(path)) == room
        for module, line in imports(path)
        if module.startswith("flocksy.boxes.") and room_of(module) not in {room, *BOX_ROOMS[room]}
    ]


@pytest.mark.parametrize("library", FENCED)
def test_libraries_stay_behind_their_fence(library: str) -> None:
    wrong = [
        f"{dotted(path)}:{line}"
        for path in modules()
        for module, line in imports(path)
        if module.split(".")[0] == library
        and not any(
            dotted(path) == fence or dotted(path).startswith(f"{fence}.")
            for fence in FENCED[library]
        )
    ]
    assert not wrong


@pytest.mark.parametrize(
    "path", [path for path in modules() if part_of(dotted(path)) in PURE], ids=dotted
)
def test_pure_means_pure(path: Path) -> None:
    wrong = [
        f"line {line}: {module}"
        for module, line in imports(path)
        if module.split(".")[0] in IMPURE_MODULES
    ]
    wrong += [
        f"line {node.lineno}: {node.attr}"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute)
        and node.attr in CLOCK_CALLS
        and isinstance(node.value, ast.Name)
        and node.value.id in {"datetime", "date"}
    ]
    assert not wrong


def test_the_seam_and_the_cores_share_nothing_but_the_neutral_parts() -> None:
    assert not MAY_IMPORT["wire"] & {"sync", "index", "boxes"}
    assert not MAY_IMPORT["boxes"] & {"wire", "protocol"}


def test_files_can_be_read_in_one_sitting() -> None:
    long = {
        path.relative_to(ROOT).as_posix(): lines
        for path in modules()
        if (lines := path.read_text(encoding="utf-8").count("\n")) > MAX_LINES
    }
    assert not {name: lines for name, lines in long.items() if name not in LONG_FILES}
    assert not LONG_FILES.keys() - long.keys(), "these are short enough now"


def test_no_file_is_a_drawer_for_everything() -> None:
    wrong = [path.name for path in modules() if path.stem in {"utils", "util", "helpers", "misc"}]
    assert not wrong


def distributions(requirements: list[str]) -> set[str]:
    names = (re.split(r"[<>=~!\[; ]", line, maxsplit=1)[0] for line in requirements)
    return {name.lower().replace("_", "-") for name in names}


def test_every_dependency_has_its_reason() -> None:
    table = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted = distributions(table["project"]["dependencies"])
    for optional in table["project"]["optional-dependencies"].values():
        wanted |= distributions(optional)
    wanted |= distributions(table["build-system"]["requires"])
    text = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8")
    given = {
        match.lower().replace("_", "-") for match in re.findall(r"(?m)^\| `([\w-]+)` \|", text)
    }
    assert given == wanted


@pytest.mark.parametrize("name", sorted(path.name for path in ROOT.glob("requirements*.lock")))
def test_locks_carry_hashes_and_name_no_index(name: str) -> None:
    text = (ROOT / name).read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    assert lines
    for line in lines:
        assert re.match(r"[\w.-]+==[\w.+!-]+( ;[^\\]*)?\s", line), line[:80]
        assert "--hash=sha256:" in line, line[:80]
    assert not re.search(r"--(extra-)?index-url|--find-links|--trusted-host|://", text)


def test_the_locks_cover_what_the_project_needs() -> None:
    def locked(name: str) -> set[str]:
        return distributions(re.findall(r"(?m)^[\w.-]+==", (ROOT / name).read_text()))

    table = tomllib.loads((ROOT / "pyproject.toml").read_text())
    run = locked("requirements.lock")
    assert distributions(table["project"]["dependencies"]) <= run
    assert distributions(table["build-system"]["requires"]) <= run
    dev = run | locked("requirements-dev.lock")
    assert distributions(table["project"]["optional-dependencies"]["dev"]) <= dev


def test_imported_libraries_are_declared_ones() -> None:
    names = {"zmq": "pyzmq", "nacl": "pynacl"}
    table = tomllib.loads((ROOT / "pyproject.toml").read_text())
    declared = distributions(table["project"]["dependencies"])
    declared |= distributions(table["project"]["optional-dependencies"]["keyring"])
    imported = {
        names.get(top, top)
        for path in modules()
        for module, _ in imports(path)
        if (top := module.split(".")[0]) not in {*sys.stdlib_module_names, "flocksy"}
    }
    assert imported <= declared
