"""flocksy: anonymous folder synchronisation among people who trust each other."""

__version__ = "0.1.0"
