"""Which of the two formats a configuration is in, told from its content.

What TOML can read is TOML, and the rest is the original's, unless it plainly tries to be TOML.
"""

from __future__ import annotations

import re

from flocksy.config import original, toml_file
from flocksy.config.document import Document, Format

# After [ stands no list where it is an IPv6 address, as in node = [fd00::2]:5000.
_ONLY_IN_TOML = re.compile(
    r"(?m)^[ \t]*([\w-]+[ \t]*=[ \t]*([\"'{]|\[(?![\w:.%-]+\]:\d))|\[\[?box[.\]])"
)


def parse(path: str, text: str) -> Document:
    """The document that `text` is. Raises `ConfigError` naming file, block and line."""
    try:
        return toml_file.parse(path, text)
    except toml_file.NotTomlError:
        if _ONLY_IN_TOML.search(text):
            raise
    return original.parse(path, text)


def format_of(text: str) -> Format:
    """Which of the two formats `text` is in, broken or not."""
    return "toml" if toml_file.is_valid(text) or _ONLY_IN_TOML.search(text) else "original"
