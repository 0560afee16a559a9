"""Seeds of episodes: which belong to demonstrations, to evaluations, and to rollouts during training."""

EVALUATION, ROLLOUTS, LATER = 100_000, 200_000, 300_000
"""First seed of evaluations, that of rollouts during training, and the first one above both."""


def demonstration_seed(seed: int) -> int:
    """Return this seed, or the first one above all seeds of evaluations and rollouts if it is one of these."""
    return LATER if EVALUATION <= seed < LATER else seed
