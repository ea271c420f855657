"""What `flocksy check` finds: one thing that was looked at, how it is, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from flocksy.errors import ConfigError, FlocksyError, KeyFileError
from flocksy.status.wording import EXIT_FAULT, EXIT_USAGE

Level = Literal["ok", "note", "warning", "problem"]
"""`note`: what a person may want to know, and perhaps cannot change."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    level: Level
    what: str
    text: str
    remedy: str = ""
    exit_status: int = EXIT_FAULT
    """What the command ends with if this is the worst; of problems only."""


def refused(what: str, error: FlocksyError) -> Finding:
    """What the loading says, its remedy apart: our errors are "what; what to do"."""
    text, mark, remedy = str(error).rpartition("; ")
    usage = isinstance(error, ConfigError | KeyFileError)
    status = EXIT_USAGE if usage else EXIT_FAULT
    return Finding("problem", what, text if mark else remedy, remedy if mark else "", status)
