"""Serving: the control step as a pure function, and exported."""
