"""Whole flocks in one process under virtual time. `flock` has the theory of operation."""
