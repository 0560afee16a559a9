"""Files: atomic writes, configurations as JSON, and where results come from."""
