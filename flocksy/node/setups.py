"""From the settings of a box to what the box is told of itself."""

from __future__ import annotations

import logging
from pathlib import Path

from flocksy.boxes.activation import forget_past
from flocksy.boxes.setup import BoxSetup, Mode
from flocksy.config.settings import BoxSettings, NodeSettings, Symlinks
from flocksy.errors import FlocksyError, IndexDamaged

log = logging.getLogger("flocksy.box")

_NOT_NOTED = (
    "that its box is kept no more is noted at the next start; if it is added again before, what is"
    " missing from its folder then counts as deleted"
)


def setup_of(box: BoxSettings, state_dir: str, private: tuple[str, ...]) -> BoxSetup:
    """`private`: files of flocksy's own outside the state directory, which no link may show. The
    index of a box is found by its id, whatever it is called."""
    index = _index_of(box, state_dir)
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
        attributes=box.xattrs,
    )


def forget_removed(settings: NodeSettings) -> None:
    """Of boxes that this node has no more, nothing is to be concluded from what became of the
    folder meanwhile, should they be added again."""
    configured = {_index_of(box, settings.state_dir) for box in settings.boxes}
    for path in sorted((Path(settings.state_dir) / "boxes").glob("*.sqlite")):
        if path not in configured:
            try:
                forget_past(path)
            except IndexDamaged as error:
                log.warning("%s: %s when its box is added again", path, error)
            except FlocksyError as error:
                log.warning("%s: %s; %s", path, error, _NOT_NOTED)


def _index_of(box: BoxSettings, state_dir: str) -> Path:
    return Path(state_dir) / "boxes" / f"{box.box_id.hex()[:16]}.sqlite"
