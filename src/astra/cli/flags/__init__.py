"""Flags of the command line: their help, error messages that name them, and those that change a whole experiment."""
