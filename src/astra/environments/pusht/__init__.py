"""Push-T: a round agent pushes a T-shaped block to a goal pose."""
