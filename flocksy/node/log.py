"""The node's log: short lines for people, or one JSON object per line.

Nothing logged names who made a change, and nothing is logged inside a tick of the schedule: the
log belongs to the box process.
"""

from __future__ import annotations

import json
import logging
import sys
from typing import Literal

from flocksy.status.printable import printable

LogFormat = Literal["human", "json"]


class _Human(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        stamp = self.formatTime(record, "%H:%M:%S")
        level = "" if record.levelno <= logging.INFO else f"{record.levelname.lower()}: "
        return f"{stamp} {level}{printable(record.getMessage())}"


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return json.dumps(
            {
                "time": round(record.created, 3),
                "level": record.levelname.lower(),
                "part": record.name.removeprefix("flocksy."),
                "message": record.getMessage(),
            },
            ensure_ascii=True,
        )


def set_up(log_format: LogFormat) -> None:
    """Log to standard error from here on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Human() if log_format == "human" else _Json())
    root = logging.getLogger("flocksy")
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    root.propagate = False
