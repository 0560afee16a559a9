"""Evaluation: rollouts, numbers with intervals, pictures, and the report of a run."""
