"""The command line: one module for each command, and the end of the process."""
