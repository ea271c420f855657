"""Where things may lie: the rules about paths of boxes and of flocksy's own files."""

from __future__ import annotations

import os

from flocksy.config.settings import BoxSettings
from flocksy.errors import ConfigError

MAX_BOX_NAME_BYTES = 255
"""A box's name is shown in lines and tables, and is a directory's name as often as not."""


def absolute(path: str, base: str = "") -> str:
    """`path` with `~` expanded, seen from the directory `base`, else from the working directory."""
    return from_here(os.path.join(base, os.path.expanduser(path)))


def from_here(path: str) -> str:
    """`path` seen from the working directory. `ConfigError` where that is needed and gone."""
    try:
        return os.path.abspath(path)
    except FileNotFoundError:
        raise ConfigError(
            f"{path}: the folder you are in was removed; go to another one, or give the whole path"
        ) from None


def split_box(text: str) -> tuple[str, str | None]:
    """Name and path of `name@path`, of a path alone, or of a name alone (path None).

    Names hold no slash, so that a path that holds an "@" is told from a name before one. The name
    that goes with a path alone is its last component.
    """
    name, mark, path = text.partition("@")
    if mark and "/" not in name:
        if not path:
            raise ValueError("has no path; write name@path")
        name = name.strip()
        path = path.strip()
    elif "/" in text or text in {"~", ".", ".."}:
        path = text
        name = os.path.basename(absolute(path))
        try:
            return checked_name(name), path
        except ValueError as error:
            raise ValueError(f"{error}; write NAME@{text}") from None
    else:
        return checked_name(text.strip()), None
    return checked_name(name), path


def checked_name(name: str) -> str:
    """`name`, if a box can be called so. ValueError otherwise."""
    if not name or not name.isprintable() or name != name.strip() or set(name) & set("/@[]"):
        raise ValueError(
            f"{name!r} cannot be a box's name: it needs at least one character, and none of / @ [ ]"
        )
    if name == "program" or len(name.encode("utf-8")) > MAX_BOX_NAME_BYTES:
        raise ValueError(f"{name!r} cannot be a box's name; take another")
    return name


def check_boxes(
    boxes: tuple[tuple[BoxSettings, str], ...], own_files: dict[str, str], state_dir: str
) -> None:
    """Refuse boxes that are not there, that overlap, or that would share what must stay here.

    `boxes` come with where they were said; `own_files` maps what a file is to its path.
    """
    home = os.path.realpath(os.path.expanduser("~"))
    real = {box.name: os.path.realpath(box.path) for box, _ in boxes}
    for number, (box, where) in enumerate(boxes):
        head = f"{where}: the box {box.name}: {box.path}"
        if _holds(real[box.name], home):
            raise ConfigError(f"{head} is or holds the home directory; share a folder in it")
        for what, path in own_files.items():
            if _holds(real[box.name], os.path.realpath(path)):
                raise ConfigError(
                    f"{head} holds the {what} ({path}), which must not be shared; move one of them"
                )
        if _holds(os.path.realpath(state_dir), real[box.name]):
            raise ConfigError(f"{head} is in the state directory ({state_dir}); move it")
        for other, _ in boxes[:number]:
            if _holds(real[other.name], real[box.name]) or _holds(real[box.name], real[other.name]):
                raise ConfigError(
                    f"{head} and the box {other.name}: {other.path} lie in each other; "
                    "boxes must be apart"
                )
        _check_there(box, head)


def _check_there(box: BoxSettings, head: str) -> None:
    if os.path.isdir(box.path) or (box.removable and not os.path.lexists(box.path)):
        return
    if os.path.lexists(box.path):
        raise ConfigError(f"{head} is not a directory; name one")
    raise ConfigError(
        f"{head} does not exist; make it with mkdir, or set removable = true if its disk comes "
        "and goes"
    )


def _holds(directory: str, path: str) -> bool:
    return path == directory or path.startswith(directory.rstrip("/") + "/")
