"""Analysis of trained policies, beyond their success rates."""
