"""The commands a node takes over its control socket, and what each may carry."""

from __future__ import annotations

import os
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainValidator

MAX_PATH = 4096


def _path(value: object) -> str:
    """As the operating system has it: maybe no text, which pydantic would refuse."""
    if not isinstance(value, str) or not os.path.isabs(value) or "\0" in value:
        raise ValueError("should be an absolute path")
    if len(os.fsencode(value)) > MAX_PATH:
        raise ValueError(f"should be a path of at most {MAX_PATH} bytes")
    return value


def _text(value: str) -> str:
    value.encode()
    if not value or "\0" in value:
        raise ValueError("should be a text")
    return value


Path = Annotated[str, PlainValidator(_path)]

Text = Annotated[str, AfterValidator(_text)]
"""What is going to be written into the configuration."""


class _Arguments(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _OneBox(_Arguments):
    name: Text = Field(max_length=255)


class _MaybeBox(_Arguments):
    box: str | None = Field(default=None, max_length=255)


class _Wait(_MaybeBox):
    timeout: float | None = Field(default=None, ge=0, allow_inf_nan=False)  # seconds


class _BoxAdd(_OneBox):
    path: Annotated[Text, AfterValidator(_path)]
    symlinks: int = Field(default=2, ge=0, le=2)
    removable: bool = False
    xattrs: bool = False


class _Path(_Arguments):
    path: Path


class _MaybePath(_Arguments):
    path: Path | None = None


class _Deleted(_MaybePath):
    limit: int = Field(default=100, ge=1, le=2000)


class _Restore(_Path):
    at: str | None = Field(default=None, min_length=1, max_length=64)


class _Resolve(_Path):
    both: bool = False


class _Dismiss(_Path):
    anyway: bool = False


class _Mode(_OneBox):
    mode: Literal["sync", "send-only", "receive-only", "archive"]


class _Folders(_OneBox):
    folders: list[Text] | None = Field(default=None, max_length=256)  # None: only tell; []: all


class _Xattrs(_OneBox):
    wanted: bool


class _Revert(_OneBox):
    paths: list[Path] | None = Field(default=None, max_length=10_000)  # None: all


COMMANDS: dict[str, type[BaseModel]] = {
    "status": _Arguments,
    "version": _Arguments,
    "reload": _Arguments,
    "wait": _Wait,
    "box_list": _Arguments,
    "box_add": _BoxAdd,
    "box_remove": _OneBox,
    "box_pause": _OneBox,
    "box_resume": _OneBox,
    "box_adopt": _OneBox,
    "box_mode": _Mode,
    "box_folders": _Folders,
    "box_xattrs": _Xattrs,
    "box_revert": _Revert,
    "ignored": _Path,
    "rescan": _MaybeBox,
    "history": _Path,
    "deleted": _Deleted,
    "restore": _Restore,
    "conflicts": _MaybePath,
    "conflicts_show": _Path,
    "conflicts_resolve": _Resolve,
    "dismiss": _Dismiss,
    "approve": _MaybeBox,
    "reject": _MaybeBox,
}
"""Command to the form of its arguments. What a handler gets has passed it, defaults filled in."""
