"""VIMA-Bench: a robot arm at a table, with prompts that mix words and pictures."""
