"""The commands that choose what a running node does in a box, and with which part of it."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable

from flocksy.boxes.keeper import Kept
from flocksy.boxes.setup import BoxSetup, Mode, change_words
from flocksy.config.edit import Word, change_box
from flocksy.errors import ConfigError, FlocksyError, KeyFileError
from flocksy.node.configured import Configured
from flocksy.node.past import inside_kept
from flocksy.status.control import Answer, Arguments, Pending
from flocksy.sync.holding import Choice
from flocksy.sync.ignore import IGNORE_FILE, MAX_IGNORE_BYTES


class Choosing:
    """Answers `box mode`, `box folders`, `box xattrs`, `box pause`, `box resume`, `box adopt`, `box
    revert` and `ignored`."""

    def __init__(self, configured: Configured) -> None:
        self._configured = configured
        self._keeper = configured.keeper
        self.handlers: dict[str, Callable[[Arguments], Answer | Pending]] = {
            "box_mode": self._mode,
            "box_folders": self._folders,
            "box_xattrs": self._xattrs,
            "box_pause": self._pause,
            "box_resume": self._resume,
            "box_adopt": self._adopt,
            "box_revert": self._revert,
            "ignored": self._ignored,
        }

    def _mode(self, arguments: Arguments) -> Answer:
        name, mode = str(arguments["name"]), str(arguments["mode"])
        kept = self._keeper.get(name)
        if kept.setup.mode == mode:
            rests = "" if kept.box is not None else f", but rests: {kept.reason}"
            return {"text": f"{name}: is {mode} already{rests}"}
        options = self._configured.settings.options
        self._configured.apply(change_box(options, name, "mode", mode), agreed=name)
        kept = self._keeper.get(name)
        if kept.box is None:
            return {"text": f"{name}: is {mode} now, but rests: {kept.reason}"}
        return {"text": f"{name}: is {mode} now; the folder is being looked through"}

    def _folders(self, arguments: Arguments) -> Answer:
        name, folders = str(arguments["name"]), arguments["folders"]
        if folders is not None:
            assert isinstance(folders, list)
            self._change(name, "folders", tuple(folders))
        chosen = self._keeper.get(name).setup.folders
        text = f"{name}: all of it is held here"
        if chosen:
            text = f"{name}: held here: {', '.join(chosen)}"
        if folders:
            text += (
                "; what was here of the rest stays, and is not synchronised any more (to delete it"
                " for the room, wait until every member says that it is in sync)"
            )
        return {"folders": list(chosen), "text": text}

    def _xattrs(self, arguments: Arguments) -> Answer:
        name, wanted = str(arguments["name"]), bool(arguments["wanted"])
        self._change(name, "xattrs", wanted)
        kept = self._keeper.get(name)
        text = f"{name}: {xattrs_words(wanted=wanted)}"
        if kept.box is None:
            return {"text": f"{text}, but the box rests: {kept.reason}"}
        lacks = kept.box.problems.get("") if wanted else None
        return {"text": f"{text}; but {lacks}" if lacks else text}

    def _pause(self, arguments: Arguments) -> Answer:
        name = str(arguments["name"])
        self._keeper.get(name)
        unwritten = self._remember(name, paused=True)
        self._keeper.pause(name)
        lasting = f" until the node stops ({unwritten})" if unwritten else ""
        return {"text": f"{name}: paused{lasting}"}

    def _resume(self, arguments: Arguments) -> Answer:
        name = str(arguments["name"])
        self._keeper.get(name)
        unwritten = self._remember(name, paused=False)
        kept = self._keeper.resume(name, self._configured.now())
        return told(kept, "goes on", unwritten)

    def _adopt(self, arguments: Arguments) -> Answer:
        name = str(arguments["name"])
        paused = self._keeper.get(name).by_user
        kept = self._keeper.adopt(name, self._configured.now())
        unwritten = self._remember(name, paused=False) if paused else None
        return told(kept, "is being adopted", unwritten)

    def _revert(self, arguments: Arguments) -> Answer:
        name, paths = str(arguments["name"]), arguments["paths"]
        assert paths is None or isinstance(paths, list)
        kept = self._keeper.get(name)
        if kept.box is None:
            raise FlocksyError(f"{name}: rests: {kept.reason}")
        if not kept.setup.mode.receives_only:
            raise FlocksyError(
                f"{name}: is in mode {kept.setup.mode}: changes here are the flock's; flocksy"
                " restore brings old content back"
            )
        chosen = None if paths is None else [self._path_in(name, str(path)) for path in paths]
        reverted = kept.box.revert(None if chosen is not None and "" in chosen else chosen)
        if not reverted and paths is not None:
            raise FlocksyError(f"{name}: nothing that was changed here is reverted by that")
        return {
            "reverted": reverted,
            "text": f"{name}: {len(reverted)} paths reverted; what stood there is in the history",
        }

    def _ignored(self, arguments: Arguments) -> Answer:
        kept, path = inside_kept(self._keeper, str(arguments["path"]))
        name = kept.setup.name
        if kept.box is None:
            raise FlocksyError(f"{name}: rests: {kept.reason}")
        reason = kept.box.held.explain(path) if path else None
        return explained(name, path, reason, waits=path in kept.box.guard.waiting)

    def _path_in(self, name: str, given: str) -> str:
        """The absolute path `given` as one of the box `name`; "" is the box itself."""
        kept, path = inside_kept(self._keeper, given)
        if kept.setup.name != name:
            box = kept.setup.name
            raise FlocksyError(f"{name}: {given} lies in another box; name {box} for it")
        return path

    def _change(self, name: str, word: Word, value: object) -> None:
        self._keeper.get(name)
        self._configured.apply(change_box(self._configured.settings.options, name, word, value))

    def _remember(self, name: str, *, paused: bool) -> Exception | None:
        """Write into the configuration whether it is paused, so that it lasts; what kept it from
        being written, unless that is what it says already."""
        before = self._configured.settings.boxes
        try:
            self._change(name, "paused", paused)
        except (ConfigError, KeyFileError) as error:
            written = any(box.name == name and box.paused == paused for box in before)
            return None if written else error
        return None


def told(kept: Kept, words: str, unwritten: Exception | None = None) -> Answer:
    """What was done with a box, and if it rests, why. `unwritten`: why that does not last."""
    text = f"{kept.setup.name}: {words}"
    if kept.box is None:
        text += f", but rests: {kept.reason}"
    if unwritten is not None:
        text += f"; it is paused again when the node starts anew ({unwritten})"
    return {"text": text}


def explained(name: str, path: str, reason: str | None, *, waits: bool = False) -> Answer:
    """What `flocksy ignored` says of a path of the box `name`. `waits`: its deletion does."""
    shown = path or "the box itself"
    text = f"{name}: {shown} {reason}" if reason else f"{name}: {shown} is synchronised"
    if waits:
        word = shlex.quote(name)
        text += f"; its deletion waits for your word (flocksy approve {word} or reject {word})"
    return {
        "ignored": {
            "box": name,
            "path": path,
            "ignored": reason is not None,
            "reason": reason,
            "waiting": waits,
        },
        "text": text,
    }


def xattrs_words(*, wanted: bool) -> str:
    """What `box xattrs` has brought about."""
    if wanted:
        return "extended attributes are synced; the folder is being looked through for them"
    return "extended attributes are synced no more; those that files here have stay"


def mode_words(former: str | None, mode: str) -> str:
    """What it means that a box changes to `mode`, in sentences."""
    return change_words(Mode(former or Mode.SYNC), Mode(mode))


def ignored_by_file(setup: BoxSetup, path: str) -> Answer:
    """`flocksy ignored` with no node running: by the configuration and the file as it stands."""
    place = os.path.join(setup.path, IGNORE_FILE)
    try:
        with open(place, "rb") as file:
            text = file.read(MAX_IGNORE_BYTES).decode("utf-8", "surrogateescape")
    except FileNotFoundError:
        text = ""
    except OSError as error:
        raise FlocksyError(f"{place}: {error.strerror or error}") from None
    is_directory = os.path.isdir(os.path.join(setup.path, path))
    choice = Choice(setup.folders, (text,))
    reason = choice.explain(path, is_directory=is_directory) if path else None
    return explained(setup.name, path, reason)
