"""Sockets and the loop that emits one cell per link per round, in a process of its own."""
