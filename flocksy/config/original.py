"""The original flocksy's two formats: plain `key = value` lines, and blocks.

A line `[program]` may stand above the plain lines. A box's block is its name in brackets, then one
JSON object with `//` comments and, as the original wrote them, single quotes:

    [mainbox]
    {
        "base_path" : "/home/anna/shared",
        "symlinks"  : '2'               // 0=follow, 1=ignore, 2=copy
    }

A `#` starts a comment at the start of a line or after a space.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from flocksy.config.document import BoxBlock, Document, Entry
from flocksy.errors import ConfigError

PROGRAM = "program"
"""What stands in the header of the plain lines, where they have one."""

_HEADER = re.compile(r"\[(?P<name>[^\]]*)\]")
_PLAIN = re.compile(r"(?P<key>[\w-]+)\s*=\s*(?P<value>.*)")
_COMMENT = re.compile(r"(^|\s)#.*$")
_TOKEN = re.compile(
    r"""(?P<space>\s+|//[^\n]*|\#[^\n]*)
      | (?P<string>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')
      | (?P<word>[^\s{}\[\]:,"'/]+)
      | (?P<mark>[{}\[\]:,])
      | (?P<other>.)""",
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    line: int


def parse(path: str, text: str) -> Document:
    """Read a file in either form. Raises `ConfigError` naming file, line and block."""
    document = Document(path, "original")
    lines = text.split("\n")
    index = 0
    while index < len(lines):
        number = index + 1
        line = without_comment(lines[index])
        index += 1
        if not line:
            continue
        name = header(line)
        if name is not None:
            if name == PROGRAM:
                continue
            if name in document.boxes:
                first = document.boxes[name].where
                raise ConfigError(
                    f"{path}:{number}: the box [{name}] is there twice, first at {first}; "
                    "remove one"
                )
            block, index = _block(path, name, lines, index, number)
            document.boxes[name] = block
        elif plain := _PLAIN.fullmatch(line):
            where = f"{path}:{number}"
            document.program.append(Entry(plain["key"], plain["value"].strip(), where))
        else:
            raise ConfigError(f"{path}:{number}: {line!r} is no line of the form key = value")
    return document


def header(line: str) -> str | None:
    """The name that a line without its comment heads a block with; None for any other line."""
    found = _HEADER.fullmatch(line)
    return None if found is None else found["name"].strip()


def without_comment(line: str) -> str:
    """A plain line without its comment and the space around it."""
    return _COMMENT.sub("", line).strip()


def block_lines(lines: list[str], start: int) -> int:
    """The index after the block whose header is at `start`: for cutting a block out."""
    return _block("", "", lines, start + 1, start + 1)[1]


def is_empty_block(block: str) -> bool:
    """Whether the JSON object that `block` is says nothing."""
    return not _block("", "", block.split("\n"), 0, 1)[0].entries


def json_block(name: str, values: dict[str, object]) -> str:
    """A box's block in the original's manner."""
    body = ",\n".join(
        f"    {json.dumps(key)} : {json.dumps(value)}" for key, value in values.items()
    )
    return f"[{name}]\n{{\n{body}\n}}\n"


def _block(
    path: str, name: str, lines: list[str], start: int, header_line: int
) -> tuple[BoxBlock, int]:
    """The block that begins at `lines[start]`, and the index of the first line after it."""
    reader = _Reader(path, name, lines, start)
    block = BoxBlock(f"{path}:{header_line}")
    reader.expect("{", "the block must begin with {")
    if reader.peek().kind == "mark" and reader.peek().text == "}":
        reader.next()
        return block, reader.line
    while True:
        key = reader.next()
        if key.kind != "string":
            raise reader.error(key, f"expected a setting in quotes, found {key.text!r}")
        if any(entry.key == key.text for entry in block.entries):
            raise reader.error(key, f"{key.text!r} is there twice; remove one")
        reader.expect(":", f"expected : after {key.text!r}")
        value = reader.value()
        block.entries.append(Entry(key.text, value, f"{path}:{key.line}: [{name}]"))
        mark = reader.next()
        if mark.text == "}" and mark.kind == "mark":
            return block, reader.line
        if mark.text != "," or mark.kind != "mark":
            raise reader.error(mark, f"expected , or }} after the value, found {mark.text!r}")


class _Reader:
    """The tokens of one block, line by line."""

    def __init__(self, path: str, name: str, lines: list[str], start: int) -> None:
        self._path = path
        self._name = name
        self._lines = lines
        self.line = start  # index of the next line to read
        self._tokens: list[_Token] = []

    def peek(self) -> _Token:
        while not self._tokens:
            if self.line >= len(self._lines):
                last = _Token("end", "the end of the file", len(self._lines))
                raise self.error(last, "the block has no closing }; write it")
            self._read_line()
        return self._tokens[0]

    def next(self) -> _Token:
        token = self.peek()
        del self._tokens[0]
        if token.text == "}" and token.kind == "mark" and self._tokens:
            raise self.error(self._tokens[0], f"unexpected {self._tokens[0].text!r} after }}")
        return token

    def expect(self, mark: str, otherwise: str) -> None:
        token = self.next()
        if token.text != mark or token.kind != "mark":
            raise self.error(token, f"{otherwise}, found {token.text!r}")

    def value(self) -> object:
        """A text, a number, true or false, or a list of texts."""
        if self.peek().text == "[" and self.peek().kind == "mark":
            return self._list()
        token = self.next()
        if token.kind == "string":
            return token.text
        if token.kind == "word":
            try:
                value: object = json.loads(token.text)
            except ValueError:
                pass
            else:
                if isinstance(value, (bool, int, float)):
                    return value
        raise self.error(token, f"expected a value, found {token.text!r}; write texts in quotes")

    def _list(self) -> list[object]:
        self.next()
        values: list[object] = []
        while self.peek().text != "]":
            token = self.next()
            if token.kind != "string":
                raise self.error(token, f"expected a text in quotes, found {token.text!r}")
            values.append(token.text)
            if self.peek().text != "]":
                self.expect(",", "expected , or ] in the list")
        self.next()
        return values

    def error(self, token: _Token, text: str) -> ConfigError:
        return ConfigError(f"{self._path}:{token.line}: in the block [{self._name}]: {text}")

    def _read_line(self) -> None:
        number = self.line + 1
        for match in _TOKEN.finditer(self._lines[self.line]):
            kind = match.lastgroup or ""
            if kind == "string":
                self._tokens.append(_Token(kind, self._unquote(match.group(), number), number))
            elif kind != "space":
                self._tokens.append(_Token(kind, match.group(), number))
        self.line += 1

    def _unquote(self, quoted: str, number: int) -> str:
        inner = quoted[1:-1]
        if quoted[0] == "'":
            inner = inner.replace("\\'", "'").replace('"', '\\"')
        try:
            text = json.loads(f'"{inner}"', strict=False)
        except ValueError:
            raise self.error(
                _Token("string", quoted, number),
                f"{quoted} has a \\ that means nothing; write \\\\ for a backslash",
            ) from None
        assert isinstance(text, str)
        return text
