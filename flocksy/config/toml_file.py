"""The TOML format, with the same words: lists for what may repeat, `[box.NAME]` for boxes.

hostname = "anna.example:5000"
node = ["ben.example:5000", "cleo.example:5000"]

[box.shared]
base_path = "/home/anna/shared"
symlinks = 2
"""

from __future__ import annotations

import re
import tomllib

from flocksy.config.document import BoxBlock, Document, Entry
from flocksy.errors import ConfigError


def is_valid(text: str) -> bool:
    """Whether a TOML reader can read `text`."""
    try:
        tomllib.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


class NotTomlError(ConfigError):
    """A TOML reader cannot read it."""


def parse(path: str, text: str) -> Document:
    """Read a TOML file. Raises `ConfigError` naming file and line, `NotTomlError` where the text
    may be in another format."""
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        place = re.search(r"\(at line (\d+), column \d+\)", str(error))
        line = place[1] if place else text.count("\n") + 1
        reason = re.sub(r" \(at .*\)$", "", str(error))
        hint = "; write what repeats as a list" if "overwrite" in reason else ""
        reason = reason[:1].lower() + reason[1:]
        raise NotTomlError(f"{path}:{line}: is not valid TOML: {reason}{hint}") from None
    except ValueError:
        raise NotTomlError(
            f"{path}: holds a number of thousands of digits, this is no config file"
        ) from None
    except RecursionError:
        raise NotTomlError(f"{path}: is nested too deeply, this is no config file") from None
    document = Document(path, "toml")
    program = table.pop("program", {})
    if not isinstance(program, dict):
        raise ConfigError(f"{path}:{_line(text, 'program')}: program must be a table [program]")
    boxes = table.pop("box", {})
    for scope in (table, program):
        for key, value in scope.items():
            _add(document, key, value, f"{path}:{_line(text, key)}")
    if isinstance(boxes, dict):
        for name, values in boxes.items():
            where = f"{path}:{_box_line(text, name)}"
            if not isinstance(values, dict):
                raise ConfigError(f"{where}: box.{name} must be a table [box.{name}]")
            document.boxes[name] = BoxBlock(
                where,
                [
                    Entry(key, value, f"{path}:{_line(text, key, name)}: [box.{name}]")
                    for key, value in values.items()
                ],
            )
    else:
        _add(document, "box", boxes, f"{path}:{_line(text, 'box')}")
    return document


def _add(document: Document, key: str, value: object, where: str) -> None:
    values = value if isinstance(value, list) else [value]
    document.program.extend(Entry(key, item, where) for item in values)


def _line(text: str, key: str, box: str | None = None) -> int:
    """The line where `key` is set, for messages: the first one that looks like it."""
    start = 0 if box is None else _box_offset(text, box)
    found = re.compile(rf"(?m)^[ \t]*[\"']?{re.escape(key)}[\"']?[ \t]*=").search(text, start)
    if found is None:  # dotted keys, inline tables
        found = re.compile(re.escape(key)).search(text, start)
    return text.count("\n", 0, found.start()) + 1 if found else 1


def _box_line(text: str, name: str) -> int:
    return text.count("\n", 0, _box_offset(text, name)) + 1


def _box_offset(text: str, name: str) -> int:
    found = re.search(rf"(?m)^[ \t]*\[[ \t]*box[ \t]*\.[ \t]*[\"']?{re.escape(name)}[\"']?", text)
    if found is None:
        found = re.search(re.escape(name), text)
    return found.start() if found else 0
