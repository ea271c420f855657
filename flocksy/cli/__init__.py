"""The command line: what a person types, and the exit status it ends with."""
