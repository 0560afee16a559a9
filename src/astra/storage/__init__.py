"""Storage: atomic writes, configurations as JSON, and the code version and machine behind a result."""
