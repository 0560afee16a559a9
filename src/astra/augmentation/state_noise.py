"""Noise on state vectors in training, so that the policy also sees states near the demonstrated ones."""

from dataclasses import replace

import torch

from astra.trajectory import Statistics, Trajectory


def add_state_noise(trajectory: Trajectory, statistics: Statistics, share: float) -> Trajectory:
    """Return the trajectory with Gaussian noise on its state vectors; actions stay unchanged.

    Args:
        trajectory: Trajectory as it was recorded.
        statistics: Statistics with the standard deviation of every dimension.
        share: Standard deviation of the noise, as a share of that of the data; 0 returns the trajectory unchanged.
    """
    if not share:
        return trajectory
    noisy = {
        name: values + share * statistics.states[name].std.to(values.device) * torch.randn_like(values)
        for name, values in trajectory.states.items()
    }
    return replace(trajectory, states=noisy)
