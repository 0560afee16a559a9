"""CALVIN: a robot arm at a table follows chains of five instructions, in four scenes."""
