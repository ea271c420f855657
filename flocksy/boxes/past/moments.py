"""What `--at` may say: a version as `flocksy history` names it, a time, or how long ago."""

from __future__ import annotations

import re
from datetime import datetime

from flocksy.boxes.past.recall import Moment
from flocksy.errors import FlocksyError

_VERSION = re.compile(r"v(?P<digits>[0-9a-f]{4,32})", re.IGNORECASE)
_AGO = re.compile(r"(?P<number>[0-9]{1,6})\s*(?P<unit>[smhdw])")
_UNIT_MS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}


def moment_of(text: str, now_ms: int) -> Moment:
    """The moment that `text` means. Times without a zone are local ones.

    Raises `FlocksyError`.
    """
    text = text.strip()
    version = _VERSION.fullmatch(text)
    if version is not None:
        return Moment(id_digits=version["digits"].lower())
    ago = _AGO.fullmatch(text.lower())
    if ago is not None:
        return Moment(at_ms=now_ms - int(ago["number"]) * _UNIT_MS[ago["unit"]])
    try:
        at_ms = int(datetime.fromisoformat(text).timestamp() * 1000)
    except (ValueError, OverflowError, OSError):
        raise FlocksyError(
            f"--at {text}: should be a version (v3fa2c1d0), a time (2026-11-21, 2026-11-21T14:30)"
            " or how long ago (90m, 6h, 2d)"
        ) from None
    if at_ms > now_ms:
        raise FlocksyError(f"--at {text}: is in the future")
    return Moment(at_ms=at_ms)
