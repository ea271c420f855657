"""Contents on their way in and out: staged, found here, read, rehearsed."""
