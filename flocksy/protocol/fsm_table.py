"""Status codes that cells show. Generated from fsm/flock.toml by fsm/generate.py."""

from __future__ import annotations

from enum import IntEnum


class Status(IntEnum):
    """What a cell shows about its node."""

    IDLE = 100
    WAITING = 102
    ANNOUNCED = 120
    PROPOSED = 121
    CONFIRMED = 131
    SETTLING = 150
    BURSTING = 200
    LEFT = 410
    LEAVING = 500
