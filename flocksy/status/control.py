"""The control socket of a running node: versioned JSON lines over a Unix socket.

One request is one line, `{"v": 1, "id": 7, "command": "status", "arguments": {}}`; one answer is
one line, `{"v": 1, "id": 7, "ok": true, "result": {}}` or
`{"v": 1, "id": 7, "ok": false, "error": "what, where, what to do", "exit": 1}`.

The server has no thread and no loop. Its `fileno` becomes readable when there is anything to do,
and `on_readable` does it without blocking: register it like a socket. The handler answers with a
dict, raises a `FlocksyError` whose text becomes the answer's error, or returns a `Pending` and
answers it later, from the same loop. Only the owner can connect (directory 0700, socket 0600), and
still every line is checked and every buffer has an end.
"""

from __future__ import annotations

import json
import os
import selectors
import socket
from collections.abc import Callable
from dataclasses import dataclass, field

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from flocksy import __version__
from flocksy.errors import ConfigError, FlocksyError
from flocksy.status import local_socket
from flocksy.status.commands import COMMANDS
from flocksy.status.wording import (
    CONTROL_VERSION,
    EXIT_FAULT,
    EXIT_USAGE,
    MAX_ANSWER_BYTES,
    MAX_CLIENTS,
    MAX_REQUEST_BYTES,
)

Arguments = dict[str, object]
Answer = dict[str, object]


class Pending:
    """An answer that comes later. The handler keeps it and calls `answer` or `fail` once."""

    def __init__(self) -> None:
        self.gone = False  # answered, or the client went away: nobody reads an answer any more
        self._id = 0
        self._send: Callable[[bytes], None] | None = None
        self._early: Callable[[int], bytes] | None = None

    def answer(self, result: Answer) -> None:
        """Send `result`. Does nothing when the client has gone."""
        self._finish(lambda request_id: _success(request_id, result))

    def fail(self, text: str, exit_status: int = EXIT_FAULT) -> None:
        """Send an error line, and the exit status that the command should end with."""
        self._finish(lambda request_id: _failure(request_id, text, exit_status))

    def _bind(self, request_id: int, send: Callable[[bytes], None]) -> None:
        self._id, self._send = request_id, send
        if self._early is not None:
            send(self._early(request_id))

    def _finish(self, line: Callable[[int], bytes]) -> None:
        if self.gone:
            return
        self.gone = True
        if self._send is None:
            self._early = line
        else:
            self._send(line(self._id))


Handler = Callable[[str, Arguments], Answer | Pending]


class _Request(BaseModel):
    """One line from a client, as it must look."""

    model_config = ConfigDict(extra="forbid", strict=True)

    v: int
    id: int = Field(default=0, ge=0, lt=2**53)
    command: str = Field(min_length=1, max_length=64)
    arguments: Arguments = Field(default_factory=dict, max_length=32)


@dataclass(slots=True, eq=False)
class _Client:
    sock: socket.socket
    received: bytearray = field(default_factory=bytearray)
    to_send: bytearray = field(default_factory=bytearray)
    pending: list[Pending] = field(default_factory=list)
    closing: bool = False  # no more requests: close when `to_send` is empty


class ControlServer:
    """Listens at `path` and passes each command to `handle`.

    The caller must hold the lock of the node's state: what lies at `path` is then a left-over.
    """

    def __init__(self, path: str, handle: Handler) -> None:
        self._handle = handle
        self._path = path
        self._clients: list[_Client] = []
        self._listener = local_socket.listen(path)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ, None)

    def fileno(self) -> int:
        """Readable whenever `on_readable` has something to do (it is an epoll or kqueue)."""
        return local_socket.selector_fileno(self._selector)

    @property
    def is_in_place(self) -> bool:
        """Whether its socket still lies where it was made: else nobody can connect any more."""
        return os.path.lexists(self._path)

    def move(self, path: str) -> None:
        """Listen at `path` from now on; who is connected stays so. Raises `FlocksyError`, and then
        nothing has changed."""
        listener = local_socket.listen(path)
        self._selector.unregister(self._listener)
        self._listener.close()
        self._listener, self._path = listener, path
        self._selector.register(listener, selectors.EVENT_READ, None)

    def on_readable(self) -> None:
        """Accept, read, answer and write whatever can be without blocking."""
        for key, mask in self._selector.select(timeout=0):
            client = key.data
            if client is None:
                self._accept()
            elif client in self._clients:
                if mask & selectors.EVENT_READ:
                    self._read(client)
                if mask & selectors.EVENT_WRITE and client in self._clients:
                    self._flush(client)

    def close(self) -> None:
        """Close every connection and remove the socket."""
        for client in list(self._clients):
            self._drop(client)
        self._selector.unregister(self._listener)
        self._listener.close()
        self._selector.close()
        local_socket.remove(self._path)

    def _accept(self) -> None:
        try:
            sock, _ = self._listener.accept()
        except OSError:
            return  # gone again before we came
        sock.setblocking(False)
        if len(self._clients) >= MAX_CLIENTS:
            # The one that has waited longest without a question is the likeliest to be forgotten.
            idle = next((client for client in self._clients if not client.pending), None)
            if idle is None:
                sock.close()
                return
            self._drop(idle)
        client = _Client(sock)
        self._clients.append(client)
        self._selector.register(sock, selectors.EVENT_READ, client)

    def _read(self, client: _Client) -> None:
        try:
            data = client.sock.recv(MAX_REQUEST_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._drop(client)
            return
        if client.closing:
            return
        client.received += data
        while (end := client.received.find(b"\n")) >= 0:
            line = bytes(client.received[:end])
            del client.received[: end + 1]
            self._request(client, line)
            if client.closing or client not in self._clients:
                return
        if len(client.received) > MAX_REQUEST_BYTES:
            self._refuse(client, "the request is too long")

    def _request(self, client: _Client, line: bytes) -> None:
        try:
            # Read by json: pydantic's reader takes no file name that is no text.
            request = _Request.model_validate(json.loads(line))
        except (ValidationError, ValueError, RecursionError):
            self._refuse(client, _other_version(line) or "the request is not understood")
            return
        if request.v != CONTROL_VERSION:
            self._refuse(client, _versions(request.v))
            return
        form = COMMANDS.get(request.command)
        if form is None:
            text = f"this node knows no command {request.command!r} (flocksy {__version__})"
            self._send(client, _failure(request.id, text, EXIT_USAGE))
            return
        try:
            arguments = form.model_validate(request.arguments).model_dump()
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            what = ".".join(str(part) for part in first["loc"])
            why = first["msg"].lower().removeprefix("value error, ")
            text = f"{request.command}: {what}: {why}"
            self._send(client, _failure(request.id, text, EXIT_USAGE))
            return
        try:
            answer = self._handle(request.command, arguments)
        except ConfigError as error:
            self._send(client, _failure(request.id, str(error), EXIT_USAGE))
            return
        except FlocksyError as error:
            self._send(client, _failure(request.id, str(error), EXIT_FAULT))
            return
        if isinstance(answer, Pending):
            client.pending.append(answer)

            def send_later(data: bytes, pending: Pending = answer) -> None:
                client.pending.remove(pending)
                self._send(client, data)

            answer._bind(request.id, send_later)
        else:
            self._send(client, _success(request.id, answer))

    def _refuse(self, client: _Client, text: str) -> None:
        client.closing = True
        client.received.clear()
        self._send(client, _failure(0, text, EXIT_USAGE))

    def _send(self, client: _Client, data: bytes) -> None:
        if len(client.to_send) + len(data) > MAX_ANSWER_BYTES:
            self._drop(client)  # asks and does not read the answers
            return
        client.to_send += data
        self._flush(client)

    def _flush(self, client: _Client) -> None:
        try:
            while client.to_send:
                sent = client.sock.send(client.to_send)
                del client.to_send[:sent]
        except BlockingIOError:
            self._selector.modify(client.sock, selectors.EVENT_READ | selectors.EVENT_WRITE, client)
            return
        except OSError:
            self._drop(client)
            return
        if client.closing:
            self._drop(client)
        else:
            self._selector.modify(client.sock, selectors.EVENT_READ, client)

    def _drop(self, client: _Client) -> None:
        self._clients.remove(client)
        self._selector.unregister(client.sock)
        client.sock.close()
        for pending in client.pending:
            pending.gone = True


def _other_version(line: bytes) -> str:
    """What to say of a request that is not ours because another version made it, or ""."""
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError):
        return ""
    version = fields.get("v") if isinstance(fields, dict) else None
    return _versions(version) if type(version) is int and version != CONTROL_VERSION else ""


def _versions(theirs: int) -> str:
    return (
        f"this node speaks version {CONTROL_VERSION} of the control protocol (flocksy "
        f"{__version__}), the command version {theirs}; use the same flocksy for both"
    )


def _success(request_id: int, result: Answer) -> bytes:
    return _line({"v": CONTROL_VERSION, "id": request_id, "ok": True, "result": result})


def _failure(request_id: int, text: str, exit_status: int) -> bytes:
    return _line(
        {"v": CONTROL_VERSION, "id": request_id, "ok": False, "error": text, "exit": exit_status}
    )


def _line(value: dict[str, object]) -> bytes:
    # ASCII only: file names may hold surrogates, which no UTF-8 can carry.
    data = json.dumps(value, ensure_ascii=True, separators=(",", ":")).encode("ascii") + b"\n"
    if len(data) > MAX_ANSWER_BYTES:
        return _failure(0, "the answer is too long for the control socket", EXIT_FAULT)
    return data
