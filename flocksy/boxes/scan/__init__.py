"""Looking at a box: what moved, what a look says of it, and the process that looks."""
