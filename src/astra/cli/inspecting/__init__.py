"""What `astra inspect` prints about suites and trained policies, one file per thing."""
