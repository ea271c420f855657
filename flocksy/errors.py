"""What can go wrong, in the words the user reads.

Three kinds of wrong are kept apart. Our own bugs are assertions and end the process loudly. What
a peer does wrong is a `HostileInput`: the message is dropped and no detail goes back. What the
world does wrong is a `FlocksyError`: its text is one line that says what, where and what to do.
"""

from __future__ import annotations


class FlocksyError(Exception):
    """The world is not as we need it. The text is shown to the user as it stands."""


class ConfigError(FlocksyError):
    """A configuration file or a command line cannot be used."""


class KeyFileError(FlocksyError):
    """A keystore or a private key file cannot be used."""


class RevokedError(FlocksyError):
    """A member that a running node has was revoked, and the files are none to run without it."""


class BoxError(FlocksyError):
    """A box cannot be opened, or not in this way."""


class IndexDamaged(FlocksyError):
    """The index of one box is damaged: it is set aside and made anew."""


class IndexTooNew(FlocksyError):
    """The index of one box was written by a newer flocksy: it stays as it is, and the box rests."""


class HostileInput(ValueError):
    """Bytes from a peer are not a valid message. Never shown to the peer."""


class LimitExceeded(FlocksyError):
    """A bound was reached; the text says which."""


def failed_disk(command: str, error: OSError) -> FlocksyError:
    """A disk that fails while it is asked for something ends that command and no more: this says
    so."""
    what = ": ".join(str(word) for word in (error.filename, error.strerror) if word)
    return FlocksyError(f"{command.replace('_', ' ')}: {what or error}")
