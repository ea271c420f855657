"""Bringing the disk to what the flock wants: batches, their journal, the history, recovery."""
