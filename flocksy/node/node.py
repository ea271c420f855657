"""The box process of a node: one loop around the exchange, the boxes and the control socket."""

from __future__ import annotations

import logging
import random
import signal
import time
from contextlib import ExitStack
from pathlib import Path

from flocksy import __version__
from flocksy.boxes.announcing import MAX_BURST_BYTES, Timing
from flocksy.boxes.content.reader import SpoolReader
from flocksy.boxes.keeper import Keeper
from flocksy.boxes.lanes.crowd import Crowd
from flocksy.boxes.lanes.exchange import Exchange
from flocksy.boxes.scan.scanner import Scanner
from flocksy.config.load import must_join_anew, reload
from flocksy.config.settings import NodeSettings
from flocksy.errors import FlocksyError, RevokedError
from flocksy.node.commands import Commands
from flocksy.node.configured import Configured
from flocksy.node.control import Control
from flocksy.node.loop import Loop
from flocksy.node.once import Once
from flocksy.node.processes import WireProcess, check_could_run, starting
from flocksy.node.reaching import addresses_of
from flocksy.node.reports import Reporter
from flocksy.node.restarts import Restarts
from flocksy.status.wording import EXIT_OK
from flocksy.system import memory, processes

MAX_WAIT_SECONDS = 1.0
"""The loop comes round at least so often, whatever has gone unnoticed."""

LEAVE_SECONDS = 90.0
"""A running burst is finished before the node leaves, with the rounds before it and after: else all
others wait for a `stall_timeout` and repeat it. Where the rate is limited none takes longer than a
minute (`LONGEST_BURST_SECONDS`)."""

BURST_SECONDS = 30
"""What is asked for takes so long at most where the rate is limited (design 4.2). Padding can make
it up to twice that."""

_ENDING = (signal.SIGINT, signal.SIGTERM)
"""Signals by which a node is told to end."""

log = logging.getLogger("flocksy.node")


class Node:
    """Everything one node runs, in the order it is started and stopped."""

    def __init__(self, settings: NodeSettings, *, once: bool = False) -> None:
        """`once`: leave when all is equal."""
        memory.keep_freed_memory()
        processes.run_in_batches()
        self.successor: NodeSettings | None = None
        """Once this node has ended: what the next one in its place is to run with."""
        self._day = _day()
        self._leave_by: float | None = None
        self._refused: RevokedError | None = None
        self._scanner_restarts = Restarts()
        # What is started here is stopped in the opposite order, also if the rest does not start.
        self._started = ExitStack()
        try:
            self._start(settings, once)
        except BaseException:
            self.close()
            raise

    def _start(self, settings: NodeSettings, once: bool) -> None:
        started = self._started
        self._start_loop()
        addresses = addresses_of(settings)
        self._wire = WireProcess(settings, addresses)
        started.callback(self._wire.close)
        self._scanner = _new_scanner()
        self._scanner_spoke = False
        started.callback(lambda: self._scanner.stop())
        self._spool = SpoolReader(Path(settings.state_dir) / "spool")
        started.callback(self._spool.close)
        seam = self._wire.seam
        self._exchange = Exchange(
            seam,
            settings.uids,
            self._spool,
            _timing(settings),
            random.SystemRandom(),
            self._problem,
        )
        self._exchange.crowd = Crowd(
            settings.uids, settings.possinymity_floor, Path(settings.state_dir) / "crowd.json"
        )
        self._exchange.addresses = addresses
        self._keeper = Keeper(
            self._exchange, self._scanner, lambda: time.time_ns() // 1_000_000, self._loop.wake
        )
        started.callback(self._keeper.close)
        self._configured = Configured(settings, self._keeper, self._loop.now)
        self._reporter = Reporter(settings, self._exchange, self._keeper)
        self._once: Once | None = None
        if once:
            draw = random.SystemRandom()
            self._once = Once(settings, self._exchange, self._keeper, self._reporter, draw)
        self._commands = Commands(self._configured, self._exchange, self._reporter, self.read_anew)
        self._control = Control(settings.state_dir, self._commands.handle, self._problem)
        server = self._control.server
        started.callback(server.close)
        started.callback(self._end_waits)  # while who waits can still be told
        self._loop.watch(seam, self._wire_moved)
        self._loop.watch(self._scanner, self._scanned)
        self._loop.watch(server, server.on_readable)

    def _start_loop(self) -> None:
        self._loop = Loop()
        self._started.callback(self._end_if_told)  # last: what came while all was closed counts
        self._started.callback(self._loop.close)
        self._loop.catch(*processes.OF_A_PERSON, *processes.stops_of_a_terminal())

    def run(self) -> int:
        """Until told to stop. Raises `FlocksyError` when the node cannot go on."""
        log.info("flocksy %s at %s", __version__, self._configured.settings.identity)
        self._configured.open_boxes()
        while not self._done():
            now = self._loop.now()
            again = self._turn(now)
            timeout = MAX_WAIT_SECONDS if again is None else again - self._loop.now()
            self._loop.wait(min(timeout, MAX_WAIT_SECONDS))
        if self._refused is not None:
            raise self._refused
        log.info("stopped" if self.successor is None else "left")
        return EXIT_OK if self._once is None else self._once.exit_status

    def close(self) -> None:
        """Stop everything that was started, whatever state it is in. Told to end meanwhile, the
        node has no `successor` afterwards."""
        self._started.close()

    def read_anew(self) -> str:
        """Load configuration and keys again, and take over what has changed. Returns words.

        Where the links or the flock rest on it, the node leaves as it does at its end, and the
        same process starts it again: from outside, as any member that comes back. Raises
        `FlocksyError`, and nothing has changed; or `RevokedError`, and the node leaves for good.
        """
        before = self._configured.settings
        try:
            fresh = reload(before, lambda found: check_could_run(found, before.hostnames))
        except RevokedError as error:
            # To go on with what was read before would be to let in whom people have turned away.
            self._refused, self.successor = error, None
            self._leave("leaving: what is in the files cannot be run")
            raise
        changed = must_join_anew(before, fresh)
        if self._leave_by is not None and self.successor is None:
            return "stopping, and reads everything anew when it starts"
        if not changed and self.successor is None:
            self._configured.apply(fresh)
            return "read anew"
        self.successor = fresh
        self._leave("joining the flock anew")
        return f"{', '.join(changed) or 'settings'} changed: the node joins the flock anew"

    def _leave(self, words: str) -> None:
        if self._leave_by is None:
            log.info("%s", words)
            self._leave_by = self._loop.now() + LEAVE_SECONDS
            self._exchange.leaving = True

    def _end_waits(self) -> None:
        self._commands.close(joins_anew=self.successor is not None)

    def _end_if_told(self) -> None:
        if not set(_ENDING).isdisjoint(self._loop.signalled()):
            self.successor = None

    # -- one turn -------------------------------------------------------------------------------

    def _turn(self, now: float) -> float | None:
        for number in self._loop.signalled():
            self._on_signal(number)
        self._look_at_former_keys()
        exchange_again = self._exchange.turn(now)
        quiet = self._exchange.quiet
        if quiet and self._scanner_spoke:
            self._scanner_spoke = False
            self._take_reports()
        boxes_again = self._keeper.turn(now, quiet=quiet)
        self._reporter.turn(now)
        commands_again = self._commands.turn(now)
        self._control.turn(now)
        scanner_due = self._scanner_restarts.due
        if scanner_due is not None and now >= scanner_due:
            self._start_scanner_again(now)
        once_again: float | None = None
        if self._once is not None and self._leave_by is None:
            once_again, words = self._once.turn(now)
            if words is not None:
                self._leave(words)
        times = [
            once_again,
            exchange_again,
            commands_again,
            self._leave_by,
            self._scanner_restarts.due,
        ]
        if quiet or boxes_again != 0.0:
            times.append(boxes_again)
        return min((when for when in times if when is not None), default=None)

    def _look_at_former_keys(self) -> None:
        """Once a day: a key that a rotation has replaced is not accepted for ever."""
        day = _day()
        if day == self._day or not any(
            member.other_keys for member in self._configured.settings.members
        ):
            return
        self._day = day
        try:
            log.info("a new day for keys: %s", self.read_anew())
        except RevokedError as error:
            log.error("%s", error)
        except FlocksyError as error:
            self._problem(f"{error}; former keys are accepted until that is mended")

    def _done(self) -> bool:
        if self._wire.alive:
            if self._leave_by is not None and self._loop.now() > self._leave_by:
                log.warning("the burst did not end in time: stopping in the middle of it")
                return True
            return False
        if self._leave_by is None:
            if not self._wire.has_left():
                raise self._wire.failure()
            # The next one takes its place, as after any other leaving.
            self.successor = self._configured.settings
            log.warning("was stopped for too long and has left the flock: joining it anew")
        return True

    def _wire_moved(self) -> None:
        if not self._wire.poll():
            self._loop.forget(self._wire.seam)

    def _scanned(self) -> None:
        """What is found is taken in between bursts, and the scanner soon waits for that: nobody but
        the source finds anything (design 4.3, rule 5)."""
        self._scanner.heard()
        self._scanner_spoke = True

    def _take_reports(self) -> None:
        try:
            reports = self._scanner.reports()
        except FlocksyError as error:
            self._loop.forget(self._scanner)
            if self._leave_by is None:
                self._scanner_restarts.died(self._loop.now())
                self._problem(str(error))
            return
        for report in reports:
            self._keeper.scanned(report, self._loop.now())

    def _start_scanner_again(self, now: float) -> None:
        """It writes nothing, so nothing is lost with it but what it was asked for."""
        self._scanner.stop()
        try:
            self._scanner = _new_scanner()
        except FlocksyError as error:
            self._scanner_restarts.died(now)
            self._problem(f"{error}; it is tried again")
            return
        self._scanner_restarts.started(now)
        self._loop.watch(self._scanner, self._scanned)
        self._keeper.scan_with(self._scanner, now)

    def _on_signal(self, number: signal.Signals) -> None:
        if number in _ENDING:
            self.successor = None
            self._leave("leaving")
            return
        if number not in processes.OF_A_PERSON:  # a terminal stops this node
            self._wire.stand_still()
            return
        try:
            log.info("%s: %s", self._configured.settings.config_path, self.read_anew())
        except RevokedError as error:
            log.error("%s", error)
        except FlocksyError as error:
            log.error("%s; nothing was changed", error)

    def _problem(self, text: str) -> None:
        self._reporter.problem(text)


def _new_scanner() -> Scanner:
    """Raises `FlocksyError` where it cannot be started."""
    with starting("scanner"):
        scanner = Scanner()
        try:
            scanner.start()
        except BaseException:
            scanner.stop()
            raise
    return scanner


def _day() -> int:
    """The day everywhere (UTC), counted."""
    return time.time_ns() // (86_400 * 1_000_000_000)


def _timing(settings: NodeSettings) -> Timing:
    most = MAX_BURST_BYTES
    if settings.max_rate:
        most = min(most, settings.max_rate * BURST_SECONDS)
    return Timing(
        announce_mean_s=settings.announce_delay_mean_ms / 1000,
        rest_mean_s=settings.rest_mean_ms / 1000,
        period_s=settings.period_ms / 1000,
        max_burst_bytes=most,
        outside_mean_s=settings.outside_delay_mean_ms / 1000,
    )
