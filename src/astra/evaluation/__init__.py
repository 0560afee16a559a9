"""Evaluation: rollouts, results with intervals, pictures and the report of a run."""
