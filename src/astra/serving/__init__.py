"""Serving: the control step of a policy as a pure function, and its export."""
