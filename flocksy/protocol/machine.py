"""The state machine at run time: the generated table, run by `transitions`.

The only module that knows that library. The machine does nothing by itself: no callbacks, no
conditions. It is told what happened and answers what to do; the caller does it. An event that
the table ignores leaves the state alone; one that the table does not know cannot be expressed.

`agreement.step` takes `Machine.decide` in place of the bare table; both give the same answers.
One decision per event and round: nothing per cell of a burst goes through here.
"""

from __future__ import annotations

from transitions import Machine as Library

from flocksy.protocol.fsm_table import INITIAL, TABLE, Action, Event, Mode


class Machine:
    """One node's state machine."""

    state: str
    """Set by the library: the name of the present mode."""

    def __init__(self) -> None:
        self._library = Library(
            model=self,
            states=[mode.name for mode in Mode],
            initial=INITIAL.name,
            transitions=[
                {"trigger": event.value, "source": mode.name, "dest": target.name}
                for (mode, event), (target, _) in TABLE.items()
            ],
            auto_transitions=False,
            ignore_invalid_triggers=False,
            queued=False,
            send_event=False,
        )

    @property
    def mode(self) -> Mode:
        """The state it is in."""
        return Mode[self.state]

    def feed(self, event: Event) -> Action:
        """Go where the event leads; the caller must do the action before the next event."""
        _, action = TABLE[self.mode, event]
        self._library.events[event.value].trigger(self)
        return action

    def decide(self, mode: Mode, event: Event) -> tuple[Mode, Action]:
        """The next state and what to do, for `agreement.step`.

        Raises:
            AssertionError: `mode` is not the state this machine is in: two callers share it.
        """
        assert mode is self.mode, f"machine is in {self.mode.name}, not in {mode.name}"
        action = self.feed(event)
        return self.mode, action
