"""What people are told of what was: versions of a path, what is deleted, conflicts. As one value
each for `--json`, and as text.

Times are milliseconds since the Unix epoch when they come in; JSON has them in UTC, text in local
time, which is what a person remembers.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from flocksy.status.printable import printable
from flocksy.status.render import size

LINES_SHOWN = 200
"""Of a list, as text; `--json` has all that the node tells."""


@dataclass(frozen=True, slots=True)
class PastVersion:
    """A version of a path. `since` and `until`: when this node learned of it and of its end; None:
    not known, or it stands there now. `where`: "here" for content that is on this disk, "members"
    for what has to come from one that still has it. `kept`: its file below the box's folder."""

    id: str
    kind: str
    size: int
    mode: str
    modified: str | None
    since: str | None
    until: str | None
    where: str
    kept: str | None = None


@dataclass(frozen=True, slots=True)
class Deleted:
    """Something that stood in a box and does not now. `moved_to`: where its content stands.
    `waiting`: it is gone here alone, until a person has said whether it goes for everybody."""

    box: str
    path: str
    version: PastVersion
    moved_to: str | None
    waiting: bool = False


@dataclass(frozen=True, slots=True)
class Side:
    """One side of a conflict: the file at the path, or one of its copies."""

    path: str
    kind: str
    size: int
    modified: str | None


@dataclass(frozen=True, slots=True)
class Conflict:
    """A path of a box at which people changed something at once; the first side stands there."""

    box: str
    path: str
    sides: tuple[Side, ...]


def moment(milliseconds: int | None) -> str | None:
    """A time as JSON has it; None for what is not known."""
    if not milliseconds:
        return None
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="milliseconds")


def plain(value: PastVersion | Deleted | Conflict) -> dict[str, object]:
    """The value as plain JSON types."""
    return dataclasses.asdict(value)


def history_text(box: str, path: str, versions: Sequence[PastVersion], note: str = "") -> str:
    """The versions of one path, the one that stands there now first."""
    if not versions:
        return f"{printable(box)}: {printable(path)}: nothing is known of it"
    lines = [f"{printable(box)}: {printable(path)}"]
    if versions[0].until is not None:
        lines.append("  now      nothing stands there")
    for one in versions[:LINES_SHOWN]:
        when = "now" if one.until is None else f"until {_local(one.until)}"
        lines.append(f"  {when:<26} {one.id}  {_what(one)}{_where(one)}")
    return "\n".join([*lines, *_more(len(versions)), *([note] if note else [])])


def deleted_text(found: Sequence[Deleted], note: str = "") -> str:
    """What is deleted, the last first, after what waits for a word."""
    lines = [] if found else ["nothing is known to be deleted"]
    for one in found[:LINES_SHOWN]:
        moved = f"; its content is at {printable(one.moved_to)}" if one.moved_to else ""
        when = "waits for your word" if one.waiting else _local(one.version.until)
        lines.append(
            f"{when}  {printable(one.box)}: {printable(one.path)}  "
            f"{one.version.id}  {_what(one.version)}{moved or _where(one.version)}"
        )
    return "\n".join([*lines, *_more(len(found)), *([note] if note else [])])


def conflicts_text(found: Sequence[Conflict], note: str = "") -> str:
    """Conflicts with their sides, and how to decide."""
    lines = [] if found else ["no conflicts"]
    for one in found[:LINES_SHOWN]:
        lines.append(f"{printable(one.box)}: {printable(one.path)}")
        for side in one.sides:
            changed = f", changed {_local(side.modified)}" if side.modified else ""
            lines.append(f"  {printable(side.path)}  {side.kind}, {size(side.size)}{changed}")
    lines += _more(len(found))
    if found:
        lines.append(
            "flocksy conflicts resolve PATH, typed in the box's folder, keeps the file at PATH and "
            "puts the others away, --both keeps all"
        )
    return "\n".join([*lines, *([note] if note else [])])


def _what(one: PastVersion) -> str:
    if one.kind == "directory":
        return f"directory, mode {one.mode}"
    changed = f", changed {_local(one.modified)}" if one.modified else ""
    return f"{one.kind}, {size(one.size)}{changed}" if one.kind == "file" else one.kind


def _where(one: PastVersion) -> str:
    if one.until is None or one.where == "here":
        return ""
    return "; its content is not on this disk"


def _more(count: int) -> list[str]:
    return [f"and {count - LINES_SHOWN} more (--json)"] if count > LINES_SHOWN else []


def _local(text: str | None) -> str:
    if text is None:
        return "(not known)"
    return datetime.fromisoformat(text).astimezone().strftime("%Y-%m-%d %H:%M:%S")
