"""Meta-World: 50 tasks of a robot arm at a table; not in the paper."""
