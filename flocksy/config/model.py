"""What the words of a configuration mean, and which values they can have.

pydantic checks each value alone; what depends on several values or on the disk is checked in
`flocksy.config.load`. Every refusal becomes one line: where it was said, what, what to do.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from typing import Annotated, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from flocksy.config.document import Entry
from flocksy.config.settings import BurstTimingKind, HistoryCap, Mode, Pace, Profile
from flocksy.errors import ConfigError
from flocksy.keys.bundle import checked_name

REPEATABLE = ("hostname", "node", "box")
"""The words that may be said more than once; each joins a list."""

MAX_REPEATS = 256
"""Nodes or boxes of one configuration. Flocks have up to about 20 members."""

LONGEST_PERIOD = 5
"""Seconds. What is given back a round or two later still has to be a measurement of clocks
(`MAX_DELAY_US`), and what becomes of links is looked at once a round."""

MIN_RATE = 16_000
"""Bytes per second. Below this a burst of the least length would run for minutes."""

MAX_RATE = 10**15
"""Bytes per second, far above every network: a number that other sums can be made with."""

_RATE = re.compile(r"(?P<number>[0-9]{1,15}(\.[0-9]{1,15})?)\s*(?P<unit>[KMG]?)", re.IGNORECASE)
_UNITS = {"": 1, "K": 1000, "M": 1000**2, "G": 1000**3}


def _rate(value: object) -> object:
    """Bytes per second from a number with a suffix K, M or G (powers of 1,000)."""
    if isinstance(value, str):
        match = _RATE.fullmatch(value.strip())
        if match is None:
            raise ValueError("should be bytes per second, for example 500K, 2.5M or 0 for no limit")
        value = int(float(match["number"]) * _UNITS[match["unit"].upper()])
    if isinstance(value, int) and 0 < value < MIN_RATE:
        raise ValueError(f"should be 0 for no limit, or at least {MIN_RATE // 1000}K")
    return value


def _without_nul(value: str) -> str:
    if "\0" in value:
        raise ValueError("should be without a NUL character, which no path can hold")
    return value


Text = Annotated[str, Field(min_length=1, max_length=4096), AfterValidator(_without_nul)]
Seconds = Annotated[float, Field(ge=0, le=3600, allow_inf_nan=False)]


class ProgramModel(BaseModel):
    """The words about the node and the flock. None means: not said, the default holds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, AfterValidator(checked_name)] | None = None
    hostname: tuple[Text, ...] = Field(default=(), max_length=MAX_REPEATS)
    node: tuple[Text, ...] = Field(default=(), max_length=MAX_REPEATS)
    box: tuple[Text, ...] = Field(default=(), max_length=MAX_REPEATS)
    keystore: Text | None = None
    privatekey: Text | None = None
    state_dir: Text | None = None
    profile: Profile = "balanced"
    pace: Pace = "max"
    max_rate: Annotated[int, BeforeValidator(_rate), Field(ge=0, le=MAX_RATE)] = 0
    min_view: int | None = Field(default=None, ge=1, le=64)
    allow_small_view: bool = False
    idle_cell: int = Field(default=1024, ge=256, le=65536)
    burst_cell: int = Field(default=65536, ge=4096, le=1048576)
    period: Annotated[float, Field(ge=0.02, le=LONGEST_PERIOD)] | None = None
    settle: Annotated[float, Field(ge=0, le=60)] | None = None
    rest: Annotated[float, Field(ge=0, le=10)] | None = None
    stall_timeout: float = Field(default=5.0, ge=0.5, le=300)
    burst_timing: BurstTimingKind = "on-demand"
    burst_every: float = Field(default=300.0, ge=10, le=86400)
    burst_cells: int = Field(default=256, ge=64, le=1 << 20)
    announce_delay: Seconds | None = None
    outside_delay: Seconds | None = None
    possinymity_floor: int = Field(default=0, ge=0, le=64)
    socks: Annotated[str, Field(pattern=r"^[^\s:/@\x00]+:[0-9]{1,5}$")] | None = None


def _digit(value: object) -> object:
    # The original's files hold the number in quotes.
    return int(value) if isinstance(value, str) and value in {"0", "1", "2"} else value


def folders_of(value: object) -> tuple[str, ...]:
    """One folder, or a list of them: paths inside the box with "/", as people write them. Raises
    `ValueError`."""
    listed = [value] if isinstance(value, str) else value
    if not isinstance(listed, list | tuple):
        raise ValueError("should be a list of folders of the box")
    found: dict[str, None] = {}
    for one in listed:
        if not isinstance(one, str):
            raise ValueError("should be folders of the box, as texts")
        names = [name for name in one.split("/") if name not in ("", ".")]
        if ".." in names or "\0" in one or one.startswith(("/", "~")):
            raise ValueError(
                f"{one!r} should be a folder inside the box, without .. and / in front"
            )
        if not names:
            raise ValueError("should name folders in the box; leave the word out to hold all of it")
        found["/".join(names)] = None
    return tuple(found)


def _guard(value: object) -> object:
    if value is False or (isinstance(value, str) and value.strip().lower() == "off"):
        return None
    if isinstance(value, str) and value.strip().removesuffix("%").strip().isdecimal():
        return int(value.strip().removesuffix("%"))
    if isinstance(value, str | bool):
        raise ValueError("should be a percentage of the files, such as 30, or off")
    return value


def _history_cap(value: object) -> object:
    text = value.strip() if isinstance(value, str) else ""
    if text.endswith("%") and text[:-1].strip().isdecimal():
        percent = int(text[:-1])
        if not 1 <= percent <= 90:
            raise ValueError("should be between 1% and 90% of the disk")
        return HistoryCap(percent=percent)
    match = _RATE.fullmatch(text)
    if match is None or not match["unit"]:
        raise ValueError("should be a share of the disk (10%) or a size (500M, 20G)")
    return HistoryCap(bytes=int(float(match["number"]) * _UNITS[match["unit"].upper()]))


class BoxModel(BaseModel):
    """The words about one box."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    base_path: Text | None = None
    symlinks: Annotated[Literal[0, 1, 2], BeforeValidator(_digit)] = 2
    removable: bool = False
    mode: Mode = "sync"
    folders: Annotated[
        tuple[Text, ...], BeforeValidator(folders_of), Field(max_length=MAX_REPEATS)
    ] = ()
    paused: bool = False
    guard: Annotated[Annotated[int, Field(ge=0, le=100)] | None, BeforeValidator(_guard)] = 100
    history_cap: Annotated[HistoryCap, BeforeValidator(_history_cap)] = HistoryCap(percent=10)
    xattrs: bool = False


_Model = TypeVar("_Model", ProgramModel, BoxModel)


def check(model: type[_Model], entries: Iterable[Entry]) -> _Model:
    """The model filled from `entries`. Raises `ConfigError` for the first that does not fit."""
    values: dict[str, object] = {}
    places: dict[str, list[str]] = {}
    for entry in entries:
        if entry.key not in model.model_fields:
            raise ConfigError(f"{entry.where}: {_unknown(entry.key, model.model_fields)}")
        places.setdefault(entry.key, []).append(entry.where)
        if entry.key in REPEATABLE and model is ProgramModel:
            found = values.setdefault(entry.key, [])
            assert isinstance(found, list)
            found.append(entry.value)
        elif entry.key in values:
            raise ConfigError(
                f"{entry.where}: {entry.key} is said a second time, first at "
                f"{places[entry.key][0]}; remove one"
            )
        else:
            values[entry.key] = entry.value
    try:
        return model.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        key = str(first["loc"][0])
        position = first["loc"][1] if len(first["loc"]) > 1 else 0
        said = places[key]  # once for a list in a block, else once for each of the list
        where = said[position if isinstance(position, int) and position < len(said) else 0]
        raise ConfigError(f"{where}: {key}: {_reason(first['msg'])}{_given(values[key])}") from None


def _unknown(key: str, known: Iterable[str]) -> str:
    names = sorted(known)
    close = difflib.get_close_matches(key, names, n=1)
    hint = f"did you mean {close[0]}?" if close else f"known are {', '.join(names)}"
    return f"unknown setting {key!r}; {hint}"


def _reason(message: str) -> str:
    message = message.removeprefix("Value error, ").removeprefix("Input ")
    return message[:1].lower() + message[1:]


def _given(value: object) -> str:
    if isinstance(value, (list, dict)) or (isinstance(value, int) and abs(value) > 1 << 256):
        return ""  # Python writes no number of thousands of digits
    return f", not {str(value)[:80]!r}"
