"""Noise on what the policy sees in training, so that it has seen the neighborhood of a demonstration too."""

from dataclasses import replace

import torch

from astra.trajectory import Statistics, Trajectory


def with_state_noise(trajectory: Trajectory, statistics: Statistics, share: float) -> Trajectory:
    """Give the trajectory with Gaussian noise on its state vectors; actions stay what they were.

    Args:
        trajectory: as it was recorded.
        statistics: tell the standard deviation of every dimension.
        share: standard deviation of the noise, as a share of that of the data; 0 changes nothing.
    """
    if not share:
        return trajectory
    noisy = {
        name: values + share * statistics.states[name].std.to(values.device) * torch.randn_like(values)
        for name, values in trajectory.states.items()
    }
    return replace(trajectory, states=noisy)
