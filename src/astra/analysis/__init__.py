"""Analysis of trained policies, beyond their score."""
