"""What both ends of the control socket agree on: version, bounds, exit statuses."""

from __future__ import annotations

CONTROL_VERSION = 1

EXIT_OK = 0
EXIT_FAULT = 1  # the world is not as we need it
EXIT_USAGE = 2  # the configuration or the command line cannot be used
EXIT_TIMEOUT = 3  # what was waited for did not come in time

MAX_REQUEST_BYTES = 64 * 1024
"""One request line. The longest is a box name and a path (4,096 bytes, escaped)."""

MAX_ANSWER_BYTES = 4 * 1024 * 1024
"""Unread answers of one client. A status of 20 boxes with their bounded lists is below 1 MiB."""

MAX_CLIENTS = 32
"""Connections at once. A person runs a few commands; scripts wait on a handful of boxes."""

ANSWER_TIMEOUT_SECONDS = 10.0
"""A node answers from its event loop, which is never busy for longer than one batch."""
