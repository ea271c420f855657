"""From the settings of a box to what the box is told of itself."""

from __future__ import annotations

from pathlib import Path

from flocksy.boxes.setup import BoxSetup, Mode
from flocksy.config.settings import BoxSettings, Symlinks


def setup_of(box: BoxSettings, state_dir: str, private: tuple[str, ...]) -> BoxSetup:
    """`private`: files of flocksy's own outside the state directory, which no link may show. The
    index of a box is found by its id, whatever it is called."""
    index = Path(state_dir) / "boxes" / f"{box.box_id.hex()[:16]}.sqlite"
    return BoxSetup(
        name=box.name,
        path=box.path,
        box_id=box.box_id,
        index_path=str(index),
        ignore_symlinks=box.symlinks is Symlinks.IGNORE,
        follow_symlinks=box.symlinks is Symlinks.FOLLOW,
        private=(state_dir, *private),
        removable=box.removable,
        mode=Mode(box.mode),
        folders=box.folders,
        guard_percent=box.guard,
        history_percent=box.history_cap.percent,
        history_bytes=box.history_cap.bytes,
    )
