"""The disk side of a box: scanning, watching, applying, history, marker."""
