"""Suites and trained policies as `astra inspect` prints them, one file per thing."""
