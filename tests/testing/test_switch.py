"""The switch loses what it is told to lose, one way if so, and delays the rest."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest

from flocksy.testing.stage import Stage, missing
from flocksy.testing.switch import Switch

pytestmark = pytest.mark.skipif(missing() != "", reason=missing())

ECHO = """
import socket
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.bind(("", 9999))
print("ready", flush=True)
while True:
    data, sender = sock.recvfrom(10)
    sock.sendto(data, sender)
"""
ASK = """
import socket, sys, time
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.settimeout(float(sys.argv[2]))
began = time.monotonic()
sock.sendto(b"x", (sys.argv[1], 9999))
try:
    sock.recv(10)
    print(time.monotonic() - began)
except TimeoutError:
    print("lost")
"""
DELAY_SECONDS = 0.2


class Ends:
    """Three namespaces, in each of which somebody answers."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self.answering = [
            subprocess.Popen(
                [sys.executable, "-c", ECHO],
                stdout=subprocess.PIPE,
                preexec_fn=stage.enter(number),
            )
            for number in range(3)
        ]
        for process in self.answering:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"

    def ask(self, source: int, target: int, seconds: float = 10.0) -> str:
        """Seconds until the answer came, or "lost"."""
        done = subprocess.run(
            [sys.executable, "-c", ASK, self._stage.addresses[target], str(seconds)],
            preexec_fn=self._stage.enter(source),
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.strip()

    def close(self) -> None:
        for process in self.answering:
            process.kill()
            process.communicate()


@pytest.fixture
def stage() -> Iterator[Stage]:
    with Stage(3, bridged=False) as made:
        yield made


@pytest.fixture
def ends(stage: Stage) -> Iterator[Ends]:
    made = Ends(stage)
    yield made
    made.close()


def test_it_carries_loses_and_delays(stage: Stage, ends: Ends) -> None:
    with Switch(stage, 3) as switch:
        assert ends.ask(0, 1) != "lost"
        assert ends.ask(1, 2) != "lost"
        switch.set(cut={(0, 1)})
        assert ends.ask(0, 1, 0.5) == "lost"
        assert ends.ask(0, 2) != "lost"
        assert ends.ask(2, 1) != "lost"
        switch.set(cut=switch.around(0))
        assert ends.ask(2, 0, 0.5) == "lost"
        assert ends.ask(2, 1) != "lost"
        switch.set(delay_seconds=DELAY_SECONDS)
        assert float(ends.ask(0, 1)) >= 2 * DELAY_SECONDS
        switch.set()
        assert ends.ask(0, 1) != "lost"
