"""The fixture for sockets."""

from tests.place import short_path

__all__ = ["short_path"]
