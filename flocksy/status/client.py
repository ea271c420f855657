"""The other end of the control socket: one question, one answer."""

from __future__ import annotations

import json
import time

from flocksy.errors import FlocksyError
from flocksy.status import local_socket
from flocksy.status.wording import (
    ANSWER_TIMEOUT_SECONDS,
    CONTROL_VERSION,
    EXIT_FAULT,
    EXIT_TIMEOUT,
    EXIT_USAGE,
    MAX_ANSWER_BYTES,
)


class NotRunningError(FlocksyError):
    """Nobody listens at the socket."""


class CommandFailedError(FlocksyError):
    """The node answered with an error, or not in time."""

    def __init__(self, text: str, exit_status: int) -> None:
        super().__init__(text)
        self.exit_status = exit_status


def request(
    path: str,
    command: str,
    arguments: dict[str, object] | None = None,
    timeout_seconds: float | None = ANSWER_TIMEOUT_SECONDS,
) -> dict[str, object]:
    """Ask the node at the socket `path`, and wait for its answer for at most `timeout_seconds`.

    Raises `NotRunningError` where no node listens and `CommandFailedError` with the node's words.
    """
    deadline = None if timeout_seconds is None else time.monotonic() + timeout_seconds
    try:
        sock = local_socket.connect(path, timeout_seconds)
    except (FileNotFoundError, ConnectionRefusedError):
        raise NotRunningError(f"{path}: no node listens here") from None
    except OSError as error:
        raise FlocksyError(f"{path}: cannot connect: {error.strerror or error}") from error
    question = {"v": CONTROL_VERSION, "id": 1, "command": command, "arguments": arguments or {}}
    received = bytearray()
    with sock:
        try:
            sock.sendall(json.dumps(question, ensure_ascii=True).encode("ascii") + b"\n")
            while not received.endswith(b"\n"):
                if deadline is not None:
                    sock.settimeout(max(0.001, deadline - time.monotonic()))
                data = sock.recv(65536)
                if not data:
                    raise CommandFailedError("the node ended before it answered", EXIT_FAULT)
                received += data
                if len(received) > MAX_ANSWER_BYTES:
                    raise CommandFailedError("the node's answer is too long", EXIT_FAULT)
        except TimeoutError:
            raise CommandFailedError(
                f"the node did not answer within {timeout_seconds:g} s; see its log", EXIT_TIMEOUT
            ) from None
        except OSError as error:
            raise CommandFailedError(
                f"the connection to the node broke: {error.strerror}", EXIT_FAULT
            ) from error
    return result_of(bytes(received))


def result_of(line: bytes) -> dict[str, object]:
    """What the node's answer brings. Raises `CommandFailedError` with its words, or with ours."""
    try:
        answer = json.loads(line)
        version = answer["v"]
        if version != CONTROL_VERSION and answer["ok"] is True:
            raise CommandFailedError(
                f"the node speaks version {str(version)[:20]} of the control protocol, this command"
                f" {CONTROL_VERSION}; use the same flocksy for both",
                EXIT_USAGE,
            )
        if answer["ok"] is True and isinstance(answer["result"], dict):
            return answer["result"]
        text, exit_status = str(answer["error"]), int(answer["exit"])
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        raise CommandFailedError(
            "the answer is not understood; use the flocksy that the node runs with", EXIT_FAULT
        ) from None
    raise CommandFailedError(text, exit_status)
