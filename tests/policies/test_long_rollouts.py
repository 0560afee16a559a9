"""Acting with the cache equals the full forward pass over many steps with random resets."""

from typing import TYPE_CHECKING, Any

import pytest
import torch

if TYPE_CHECKING:
    from astra.trajectory import Statistics, Trajectory, TrajectorySpec


def part(source: "Trajectory", env: int, start: int, end: int, instruction: str) -> "Trajectory":
    from astra.trajectory import Trajectory

    return Trajectory(
        instructions=(instruction,),
        states={name: values[env : env + 1, start:end] for name, values in source.states.items()},
        images={},
        valid=source.valid[env : env + 1, start:end],
        actions=source.actions[env : env + 1, start:end],
        action_valid=source.action_valid[env : env + 1, start:end],
    )


@pytest.mark.parametrize("steps", [150, pytest.param(500, marks=pytest.mark.slow)])
@pytest.mark.parametrize("options", [dict(), dict(window=4)], ids=["whole history", "window"])
def test_many_steps_with_resets_equal_the_full_forward(
    steps: int, options: dict[str, Any], tiny_spec: "TrajectorySpec", tiny_statistics: "Statistics"
) -> None:
    from astra.policies.astra import AstraConfig
    from astra.trajectory import Observation, Trajectory

    B = 3
    policy = AstraConfig(layers=2, heads=2, width=16, **options).build(tiny_spec, tiny_statistics).eval()
    torch.nn.init.normal_(policy.head.weight)
    assert policy.relative is not None
    torch.nn.init.normal_(policy.relative.ages)
    low, high = torch.tensor(tiny_spec.actions.low), torch.tensor(tiny_spec.actions.high)
    source = Trajectory(
        instructions=tuple(tiny_spec.instructions[env % 2] for env in range(B)),
        states={name: torch.randn(B, steps, size) for name, size in tiny_spec.states.items()},
        images={},
        valid=torch.ones(B, steps, dtype=torch.bool),
        actions=low + (high - low) * torch.rand(B, steps, len(low)),
        action_valid=torch.ones(B, steps, dtype=torch.bool),
    )
    state = policy.start(source.instructions, [0] * B)
    started, instructions = [0] * B, list(source.instructions)
    episodes: list[tuple[int, int, int, str]] = []
    acted = []
    for t in range(steps):
        resets = torch.rand(B) < 10 / steps
        if t and resets.any():
            for env in resets.nonzero()[:, 0].tolist():
                episodes.append((env, started[env], t, instructions[env]))
                started[env], instructions[env] = t, tiny_spec.instructions[t % 2]
            chosen = [instructions[env] for env in resets.nonzero()[:, 0].tolist()]
            state = policy.reset(state, resets, chosen, [t] * len(chosen))
        states = {name: values[:, t] for name, values in source.states.items()}
        observation = Observation(states=states, images={}, previous_action=source.actions[:, t - 1])
        acted.append(policy.predict(state, observation))
    seen = torch.stack([step for step in acted if step is not None], dim=1)
    assert seen.shape[1] == steps
    episodes += [(env, started[env], steps, instructions[env]) for env in range(B)]
    assert len(episodes) > 10
    for env, start, end, instruction in episodes:
        trajectory = part(source, env, start, end, instruction)
        with torch.no_grad():
            inputs = policy.query_inputs(trajectory, torch.arange(1))
            outputs = policy.transformer(inputs.prompt, inputs.context, inputs.queries, inputs.mask, context_out=False)
            expected = policy.head(outputs.unflatten(1, (end - start, 1, policy.sizes.action)))
        torch.testing.assert_close(seen[env : env + 1, start:end], expected, rtol=0, atol=1e-5)
