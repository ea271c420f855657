"""Adding, changing and removing boxes in a configuration file, with everything else in it kept.

TOML is edited as a document, the original's format line by line. What comes out is loaded first
and replaces the file only when it is right.
"""

from __future__ import annotations

import json
import re
from collections.abc import MutableMapping
from dataclasses import replace
from typing import Any, Literal

import tomlkit
from tomlkit.container import OutOfOrderTableProxy
from tomlkit.items import Table

from flocksy.config import document, formats, model, original, places
from flocksy.config.load import COMMAND_LINE, config_path, is_all_said, load, load_words
from flocksy.config.settings import BoxSettings, HistoryCap, NodeSettings, Options, Symlinks
from flocksy.errors import ConfigError


def add_box(options: Options, box: BoxSettings) -> NodeSettings:
    """Add `box` to the file of `options`, which is made where all was said on the command line.
    Returns what the new file loads as.

    Raises `ConfigError`, and the file is as it was, where the box cannot be one.
    """
    try:
        places.checked_name(box.name)
    except ValueError as error:
        raise ConfigError(str(error)) from None
    path = config_path(options)
    before = _text_of(options)
    text = before or ""
    for known, where in load_words(options, text).boxes:
        if known.name == box.name:
            raise ConfigError(f"the box {box.name} is there already, at {where}")
    new = _add_toml(text, box) if _is_toml(text) else _add_original(text, box)
    return _replace(options, path, before, new)


def remove_box(options: Options, name: str) -> NodeSettings:
    """Take the box out of the file of `options`; its folder stays as it is.

    Returns what the new file loads as. Raises `ConfigError`, and the file is as it was.
    """
    path = config_path(options)
    text = _text_of(options) or ""
    where = next((place for box, place in load_words(options).boxes if box.name == name), None)
    if where is None:
        raise ConfigError(f"{path}: there is no box {name!r}; see flocksy box list")
    if where.startswith(COMMAND_LINE):
        raise ConfigError(f"the box {name} was given on the command line; start without it")
    new = _remove_toml(text, name) if _is_toml(text) else _remove_original(text, name)
    return _replace(options, path, text, new)


Word = Literal["mode", "folders", "paused", "xattrs"]
"""The words of a box that commands change."""

_DEFAULTS: dict[Word, object] = {"mode": "sync", "folders": (), "paused": False, "xattrs": False}


def change_box(options: Options, name: str, word: Word, value: object) -> NodeSettings:
    """Set one word of the box in the file of `options`. Returns what the new file loads as.

    Raises `ConfigError`, and the file is as it was.
    """
    if word == "folders":
        try:
            value = model.folders_of(value)
        except ValueError as error:
            raise ConfigError(f"folders of the box {name}: {error}") from None
    path = config_path(options)
    text = _text_of(options) or ""
    found = next(((box, at) for box, at in load_words(options).boxes if box.name == name), None)
    if found is None:
        raise ConfigError(f"{path}: there is no box {name!r}; see flocksy box list")
    before, where = found
    if where.startswith(COMMAND_LINE):
        raise ConfigError(
            f"the box {name} was given on the command line; to change it write it into {path}"
        )
    said: dict[str, Any] = {word: value}
    wanted = replace(before, **said)
    plain = list(value) if isinstance(value, tuple) else value
    change = _change_toml if _is_toml(text) else _change_original
    new = change(text, name, word, plain, value == _DEFAULTS[word])
    if wanted not in [box for box, _ in load_words(options, new).boxes]:
        raise ConfigError(
            f"{where}: {word} of the box {name} is written in a way that only a person can change;"
            f" make it {json.dumps(plain)}"
        )
    return _replace(options, path, text, new)


def _text_of(options: Options) -> str | None:
    """What the file of `options` holds; None where there is none and need not be one."""
    return None if is_all_said(options) else document.read_text(config_path(options))


def _is_toml(text: str) -> bool:
    # An empty file, or one with comments only, can be continued in either; TOML is the newer.
    return formats.format_of(text) == "toml"


def _replace(options: Options, path: str, before: str | None, text: str) -> NodeSettings:
    settings = load(options, text)
    document.replace_text(path, text, before)
    return settings


def _values(box: BoxSettings) -> dict[str, object]:
    values: dict[str, object] = {"base_path": box.path}
    if box.symlinks is not Symlinks.COPY:
        values["symlinks"] = int(box.symlinks)
    if box.removable:
        values["removable"] = True
    if box.mode != "sync":
        values["mode"] = box.mode
    if box.folders:
        values["folders"] = list(box.folders)
    if box.paused:
        values["paused"] = True
    if box.guard != 100:
        values["guard"] = "off" if box.guard is None else box.guard
    cap = box.history_cap
    if cap != HistoryCap(percent=10):
        values["history_cap"] = f"{cap.bytes / 1e6:.6f}M" if cap.bytes else f"{cap.percent}%"
    if box.xattrs:
        values["xattrs"] = True
    return values


def _add_toml(text: str, box: BoxSettings) -> str:
    try:
        box.path.encode("utf-8")
    except UnicodeEncodeError:
        raise ConfigError(f"{box.path!r} is not UTF-8, which TOML cannot hold; rename it") from None
    root = tomlkit.parse(text)
    boxes = root.get("box")
    if boxes is None:
        boxes = tomlkit.table(is_super_table=True)
        root["box"] = boxes
    if not isinstance(boxes, Table | OutOfOrderTableProxy):
        raise ConfigError("the boxes are a list here; write them as [box.NAME] first")
    table = tomlkit.table()
    for key, value in _values(box).items():
        table[key] = value
    boxes[box.name] = table
    return tomlkit.dumps(root)


def _remove_toml(text: str, name: str) -> str:
    root = tomlkit.parse(text)
    boxes = root.get("box")
    if not isinstance(boxes, Table | OutOfOrderTableProxy):
        raise ConfigError("the boxes are a list here; write them as [box.NAME] first")
    if name not in boxes:
        raise ConfigError(f"the box {name} is in a list here; take it out by hand")
    del boxes[name]
    if not boxes:
        del root["box"]
    return _with_comments_below(text, tomlkit.dumps(root))


def _with_comments_below(text: str, new: str) -> str:
    """`new`, which is `text` without one table, with the comments that stood below its last value.

    TOML has them belong to the table; for people they mostly head the next one.
    """
    both = zip(text, new, strict=False)
    start = next((at for at, (was, now) in enumerate(both) if was != now), len(new))
    start = text.rfind("\n", 0, start) + 1
    end = start + len(text) - len(new)
    if text[:start] + text[end:] != new:
        return new  # a table in several places
    lines = text[start:end].split("\n")
    last = max(number for number, line in enumerate(lines) if line.strip().partition("#")[0])
    below = "\n".join(lines[last + 1 :])
    if not below.strip():
        return new
    if new[:start].endswith("\n\n"):
        below = below.lstrip("\r\n")
    return new[:start] + below + new[start:]


def _change_toml(text: str, name: str, word: str, value: object, is_default: bool) -> str:
    root = tomlkit.parse(text)
    boxes = root.get("box")
    if not isinstance(boxes, Table | OutOfOrderTableProxy):
        raise ConfigError("the boxes are a list here; write them as [box.NAME] first")
    table = boxes.get(name)
    if not isinstance(table, MutableMapping):
        raise ConfigError(f"the box {name} is in a list here; write it as [box.{name}] first")
    if not is_default:
        table[word] = value
    elif word in table:
        del table[word]
    return tomlkit.dumps(root)


def _add_original(text: str, box: BoxSettings) -> str:
    lines = text.rstrip("\n").split("\n")
    values = _values(box)
    line = f"box = {box.name}@{box.path}"
    if len(values) > 1 or original.without_comment(line) != line or not box.path.isprintable():
        # More than a line can say, or a path with a " #" or spaces at its end.
        return "\n".join(lines) + "\n\n" + original.json_block(box.name, values)
    number = _last_plain_line(lines) + 1
    return "\n".join([*lines[:number], line, *lines[number:]]) + "\n"


def _remove_original(text: str, name: str) -> str:
    lines = text.split("\n")
    kept: list[str] = []
    index = 0
    while index < len(lines):
        line = original.without_comment(lines[index])
        if original.header(line) == name:
            index = original.block_lines(lines, index)
            continue
        key, _, value = line.partition("=")
        if key.strip() != "box" or places.split_box(value.strip())[0] != name:
            kept.append(lines[index])
        index = index + 1
    return "\n".join(kept)


def _change_original(text: str, name: str, word: str, value: object, is_default: bool) -> str:
    lines = text.split("\n")
    for index, raw in enumerate(lines):
        line = original.without_comment(raw)
        if original.header(line) == name:
            end = original.block_lines(lines, index)
            block = "\n".join(lines[index + 1 : end])
            changed = _change_block(block, word, value)
            return "\n".join([*lines[: index + 1], changed, *lines[end:]])
    if is_default:
        return text
    return text.rstrip("\n") + "\n\n" + original.json_block(name, {word: value})


def _change_block(block: str, word: str, value: object) -> str:
    """One JSON object with comments: the value after `word`, or a line more at its beginning."""
    pattern = rf"""(["']){word}\1\s*:\s*(\[[^\]]*\]|"[^"\n]*"|'[^'\n]*'|[^\s,}}/]+)"""
    for found in re.finditer(pattern, block):
        line_before = block[: found.start()].rpartition("\n")[2]
        if "//" not in line_before and "#" not in line_before:
            return block[: found.start(2)] + json.dumps(value) + block[found.end(2) :]
    at = block.index("{") + 1
    last = "" if original.is_empty_block(block) else ","
    return f"{block[:at]}\n    {json.dumps(word)} : {json.dumps(value)}{last}{block[at:]}"


def _last_plain_line(lines: list[str]) -> int:
    """Index of the last `box = ...` line, or else of the last plain line; -1 without one."""
    last_box = last_plain = -1
    index = 0
    while index < len(lines):
        line = original.without_comment(lines[index])
        header = original.header(line)
        if header not in (None, original.PROGRAM):
            index = original.block_lines(lines, index)
            continue
        if "=" in line or header is not None:
            last_plain = index
            if line.partition("=")[0].strip() == "box":
                last_box = index
        index += 1
    return last_box if last_box >= 0 else last_plain
