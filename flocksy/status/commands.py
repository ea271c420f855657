"""The commands a node takes over its control socket, and what each may carry."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class _Arguments(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _OneBox(_Arguments):
    name: str = Field(min_length=1, max_length=255)


class _MaybeBox(_Arguments):
    box: str | None = Field(default=None, max_length=255)


class _Wait(_MaybeBox):
    timeout: float | None = Field(default=None, ge=0, allow_inf_nan=False)  # seconds


class _BoxAdd(_OneBox):
    path: str = Field(min_length=1, max_length=4096)  # absolute
    symlinks: int = Field(default=2, ge=0, le=2)
    removable: bool = False
    xattrs: bool = False


class _Path(_Arguments):
    path: str = Field(min_length=1, max_length=4096)  # absolute


class _MaybePath(_Arguments):
    path: str | None = Field(default=None, min_length=1, max_length=4096)  # absolute


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
    folders: list[str] | None = Field(default=None, max_length=256)  # None: only tell; []: all


class _Xattrs(_OneBox):
    wanted: bool


class _Revert(_OneBox):
    paths: list[str] | None = Field(default=None, max_length=10_000)  # absolute; None: all


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
