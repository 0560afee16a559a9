"""The control `no-history`: the same weights, without the timesteps before."""

from typing import TYPE_CHECKING, Any

import pytest
import torch

if TYPE_CHECKING:
    from astra.trajectory import Statistics, TrajectorySpec


@pytest.mark.parametrize("name", ["astra", "gato", "vima"])
def test_a_policy_without_history_depends_on_the_present_alone(
    name: str, tiny_spec: "TrajectorySpec", tiny_statistics: "Statistics"
) -> None:
    from astra.policies.astra import AstraConfig
    from astra.policies.gato import GatoConfig
    from astra.policies.vima import VimaConfig
    from astra.suites.evaluate_suite import without_history
    from astra.trajectory import Observation

    make: Any = {"astra": AstraConfig, "gato": GatoConfig, "vima": VimaConfig}[name]
    policy = make(layers=2, heads=2, width=16, window=4).build(tiny_spec, tiny_statistics).eval()
    for parameter in policy.parameters():
        if parameter.ndim > 1:  # large weights, so that another past is another action
            torch.nn.init.normal_(parameter)
    low, high = torch.tensor(tiny_spec.actions.low), torch.tensor(tiny_spec.actions.high)

    def observed() -> Observation:
        return Observation(
            states={name: torch.randn(1, size) for name, size in tiny_spec.states.items()},
            images={},
            previous_action=low + (high - low) * torch.rand(1, len(low)),
        )

    past, present = [[observed() for _ in range(3)] for _ in range(8)], observed()

    def actions(acting: Any) -> int:
        """Count the different actions after different pasts."""
        found = []
        for each in past:
            state = acting.start([tiny_spec.instructions[0]], [0])
            for observation in each:
                _, state = acting.act(state, observation)
            action, _ = acting.act(state, present)
            found.append(tuple(action[0].tolist()))
        return len(set(found))

    cut = without_history(policy)
    assert actions(policy) > 1
    assert actions(cut) == 1
    assert policy.config.window == 4
    assert all(one is other for one, other in zip(policy.parameters(), cut.parameters(), strict=True))


def test_a_policy_without_a_window_cannot_lose_its_history(
    tiny_spec: "TrajectorySpec", tiny_statistics: "Statistics"
) -> None:
    from astra.policies.astra import AstraConfig
    from astra.policies.rt1 import RT1Config
    from astra.suites.evaluate_suite import without_history

    policy: Any = AstraConfig(layers=1, heads=1, width=16).build(tiny_spec, tiny_statistics)
    policy.config = RT1Config()  # it has a history of frames, and no field `window`
    with pytest.raises(ValueError, match="Astra has no window of timesteps to cut: leave no-history out of --agents"):
        without_history(policy)
