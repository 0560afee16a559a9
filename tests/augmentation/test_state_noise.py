from typing import TYPE_CHECKING

import torch

from astra.augmentation.state_noise import add_state_noise

if TYPE_CHECKING:
    from astra.trajectory import Statistics, Trajectory


def test_noise_has_the_deviation_asked_for_and_leaves_actions_alone(
    tiny_trajectory: "Trajectory", tiny_statistics: "Statistics"
) -> None:
    draws = [add_state_noise(tiny_trajectory, tiny_statistics, 0.1) for _ in range(500)]
    for name, values in tiny_trajectory.states.items():
        noise = torch.stack([draw.states[name] - values for draw in draws])
        expected = (0.1 * tiny_statistics.states[name].std).expand_as(values)
        torch.testing.assert_close(noise.std(0), expected, rtol=0.2, atol=0)
    assert draws[0].actions is tiny_trajectory.actions


def test_no_noise_is_the_trajectory_itself(tiny_trajectory: "Trajectory", tiny_statistics: "Statistics") -> None:
    assert add_state_noise(tiny_trajectory, tiny_statistics, 0.0) is tiny_trajectory
