"""The commands a running node takes over its control socket (design 7)."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable
from dataclasses import dataclass

from flocksy import __version__
from flocksy.boxes.lanes.exchange import Exchange
from flocksy.config.edit import add_box, remove_box
from flocksy.config.load import is_all_said
from flocksy.config.settings import BoxSettings, Symlinks
from flocksy.errors import FlocksyError, failed_disk
from flocksy.node.choosing import Choosing, told
from flocksy.node.configured import Configured
from flocksy.node.reports import Reporter
from flocksy.node.undo import REMEDY, Undo
from flocksy.status.control import Answer, Arguments, Pending
from flocksy.status.model import BoxState
from flocksy.status.render import boxes_lines, status_text
from flocksy.status.wording import EXIT_TIMEOUT

LOOK_SECONDS = 0.05
"""How often a wait looks whether all is in sync."""


@dataclass(slots=True)
class _Wait:
    """A `flocksy wait` that has not been answered."""

    pending: Pending
    names: tuple[str, ...]
    named: bool
    """One box was asked for, not all."""
    until: float | None


class Commands:
    """Answers commands for one node. What a command needs later is done in `turn`."""

    def __init__(
        self,
        configured: Configured,
        exchange: Exchange,
        reporter: Reporter,
        read_anew: Callable[[], str],
    ) -> None:
        """`read_anew`: load configuration and keys again; returns words, raises `FlocksyError`."""
        self._configured = configured
        self._keeper = configured.keeper
        self._reporter = reporter
        self._read_anew = read_anew
        self._waits: list[_Wait] = []
        members = len(configured.settings.members)
        self._undo = Undo(exchange, self._keeper, configured.now, members)
        self._handlers: dict[str, Callable[[Arguments], Answer | Pending]] = {
            **self._undo.handlers,
            **Choosing(configured).handlers,
            "status": self._status,
            "version": self._version,
            "reload": self._reload,
            "wait": self._wait,
            "box_list": self._box_list,
            "box_add": self._box_add,
            "box_remove": self._box_remove,
            "rescan": self._rescan,
        }

    def handle(self, command: str, arguments: Arguments) -> Answer | Pending:
        """Answer one command, or promise to. `arguments` have been checked. Raises
        `FlocksyError`."""
        try:
            return self._handlers[command](arguments)
        except OSError as error:
            raise failed_disk(command, error) from error

    def turn(self, now: float) -> float | None:
        """Answer the waits that are over. Returns when to look again."""
        for wait in list(self._waits):
            if wait.pending.gone or self._look(wait, now):
                self._waits.remove(wait)
        undo_again = self._undo.turn(now)
        return now + LOOK_SECONDS if self._waits else undo_again

    def close(self, *, joins_anew: bool) -> None:
        """The node stops, or `joins_anew`: nothing is waited for any longer."""
        why = f"the node joins the flock anew: {REMEDY}" if joins_anew else "the node stops"
        self._undo.close(why)
        for wait in self._waits:
            wait.pending.fail(why)
        self._waits.clear()

    def _look(self, wait: _Wait, now: float) -> bool:
        try:
            kept = [self._keeper.get(name) for name in wait.names]
        except FlocksyError as error:
            wait.pending.fail(str(error))
            return True
        # What a person has paused only a person lets go on, so nobody waits for it.
        paused = [one.setup.name for one in kept if one.by_user]
        boxes = [self._reporter.box_status(one) for one in kept if not one.by_user]
        if paused and (wait.named or not boxes):
            wait.pending.fail(
                f"{paused[0]}: is paused; flocksy box resume {shlex.quote(paused[0])} lets it go on"
            )
            return True
        late = [box for box in boxes if box.state is not BoxState.IN_SYNC]
        if not late:
            but = f" (paused, and not waited for: {', '.join(paused)})" if paused else ""
            wait.pending.answer({"text": f"in sync{but}"})
            return True
        stuck = [box for box in late if box.state is BoxState.ASKING or box.alone]
        if len(stuck) == len(late):
            wait.pending.fail(f"{stuck[0].name}: {stuck[0].asks or stuck[0].reason}")
            return True
        if wait.until is not None and now >= wait.until:
            states = ", ".join(f"{box.name}: {box.state}" for box in late)
            wait.pending.fail(f"not in sync in time ({states})", EXIT_TIMEOUT)
            return True
        return False

    def _status(self, _: Arguments) -> Answer:
        status = self._reporter.status()
        return {"status": status.plain(), "text": status_text(status)}

    def _version(self, _: Arguments) -> Answer:
        settings = self._configured.settings
        return {
            "version": __version__,
            "pid": os.getpid(),
            "config": settings.config_path,
            "endpoint": settings.identity,
            # As they are seen from anywhere: with these a command finds the same files.
            "options": {
                # Where all was said on the command line a command needs no file either.
                "config": None if is_all_said(settings.options) else settings.config_path,
                "keystore": settings.keystore_path,
                "privatekey": settings.privatekey_path,
                "state_dir": settings.state_dir,
                "hostnames": settings.options.hostnames,
                "nodes": settings.options.nodes,
            },
        }

    def _reload(self, _: Arguments) -> Answer:
        return {"text": self._read_anew()}

    def _wait(self, arguments: Arguments) -> Answer | Pending:
        names = self._names(arguments["box"])
        now = self._configured.now()
        # What was written just before the command counts, whether its event has come or not.
        for name in names:
            box = self._keeper.get(name).box
            if box is not None:
                box.rescan(now)
        timeout = arguments["timeout"]
        assert timeout is None or isinstance(timeout, int | float)
        named = arguments["box"] is not None
        wait = _Wait(Pending(), names, named, None if timeout is None else now + timeout)
        self._waits.append(wait)
        return wait.pending

    def _rescan(self, arguments: Arguments) -> Answer:
        names = self._names(arguments["box"])
        for name in names:
            box = self._keeper.get(name).box
            if box is None:
                raise FlocksyError(f"{name}: rests: {self._keeper.get(name).reason}")
            box.rescan(self._configured.now())
        return {"text": f"rescanning {', '.join(names)}"}

    def _box_list(self, _: Arguments) -> Answer:
        boxes = self._reporter.status().boxes
        plain = [
            {"name": box.name, "path": box.path, "state": str(box.state), "asks": box.asks}
            for box in boxes
        ]
        return {"boxes": plain, "text": "\n".join(boxes_lines(boxes))}

    def _box_add(self, arguments: Arguments) -> Answer:
        box = BoxSettings(
            name=str(arguments["name"]),
            path=str(arguments["path"]),
            symlinks=Symlinks(int(str(arguments["symlinks"]))),
            removable=bool(arguments["removable"]),
            xattrs=bool(arguments["xattrs"]),
        )
        self._configured.apply(add_box(self._configured.settings.options, box))
        return told(self._keeper.get(box.name), "added")

    def _box_remove(self, arguments: Arguments) -> Answer:
        name = str(arguments["name"])
        self._keeper.get(name)
        self._configured.apply(remove_box(self._configured.settings.options, name))
        return {"text": f"{name}: removed; the folder stays as it is"}

    def _names(self, given: object) -> tuple[str, ...]:
        if given is None:
            return tuple(kept.setup.name for kept in self._keeper.boxes)
        return (self._keeper.get(str(given)).setup.name,)
