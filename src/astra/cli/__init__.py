"""Command line: one file per command.

These files import PyTorch inside their functions, because `--help` must answer at once and PyTorch takes seconds.
"""
