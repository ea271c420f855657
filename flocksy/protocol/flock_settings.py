"""Hashes of the settings that all members share, so that a difference can be named.

Settings themselves never travel: a member compares the hashes a cell shows with its own.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

from flocksy.errors import ConfigError

MAX_SETTINGS = 16
"""Flock-wide settings whose hashes fit the header."""


@dataclass(frozen=True, slots=True)
class FlockSettings:
    """Hashes of the flock-wide settings in their canonical order."""

    names: tuple[str, ...]
    digest: bytes
    vector: bytes

    @classmethod
    def of(cls, settings: Sequence[tuple[str, str]]) -> FlockSettings:
        """From (name, canonical JSON) of every flock-wide setting."""
        if len(settings) > MAX_SETTINGS:
            raise ConfigError(f"{len(settings)} flock-wide settings, at most {MAX_SETTINGS} fit")
        vector = b"".join(_hash([name, value], 2) for name, value in settings)
        return cls(
            tuple(name for name, _ in settings),
            _hash([list(setting) for setting in settings], 16),
            vector.ljust(2 * MAX_SETTINGS, b"\0"),
        )

    def first_difference(self, digest: bytes, vector: bytes) -> str | None:
        """The name of the first setting in which a peer differs, None if it does in none."""
        if digest == self.digest:
            return None
        for i, name in enumerate(self.names):
            if vector[2 * i : 2 * i + 2] != self.vector[2 * i : 2 * i + 2]:
                return name
        return "some flock-wide setting"


def _hash(value: object, size: int) -> bytes:
    text = json.dumps(value, ensure_ascii=True, separators=(",", ":"), sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=size).digest()
