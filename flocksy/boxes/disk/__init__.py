"""The disk under a box: the port to it, the real one behind it, and the marker that names it."""
