"""Output of `astra inspect` about suites and trained policies, one file per thing."""
