"""Cost of the check of observations and actions, as a share of a control step."""

import statistics
from collections.abc import Callable

import torch

from astra.experiments import EXPERIMENTS
from astra.observations import check_finite_outputs
from astra.policies.astra import Astra
from astra.profiling.clock import in_turn
from astra.profiling.exported_step import INSTRUCTION, make_policy
from astra.profiling.shapes import Ratio, Shape
from astra.serving.control_step import example_observation
from astra.trajectory import ActionSpec, Statistics, TrajectorySpec, VectorStatistics

HISTORY = 20
"""Timesteps of history."""
STEPS = 4
"""Control steps that are timed together: the small policy predicts actions at the first of four."""
CHECKS = 10
"""Checks per control step on the side that has them, since one is too short for the clock."""


def small_policy() -> Astra:
    """Build the small policy of Push-T: corners of the T and position of the agent, discrete actions."""
    spec = TrajectorySpec(
        states={"observation.state": 2, "observation.environment_state": 16},
        actions=ActionSpec(names=("x", "y"), low=(0.0, 0.0), high=(512.0, 512.0)),
        instructions=(INSTRUCTION,),
    )

    def standard(size: int) -> VectorStatistics:
        low, high = torch.zeros(size), torch.full((size,), 512.0)
        return VectorStatistics(mean=(low + high) / 2, std=high / 4, min=low, max=high)

    relative = {"observation.state": standard(2)}
    states = {name: standard(size) for name, size in spec.states.items()}
    statistics_ = Statistics(states=states, actions=standard(2), relative_actions=relative)
    return EXPERIMENTS["pusht-expert"].make().policy.build(spec, statistics_).eval()


def check_ratios(shape: Shape, rounds: int) -> list[Ratio]:
    """Return control steps with the check over those without it, for the small policy of Push-T and Astra (19M)."""
    policies = {"small policy of Push-T": small_policy(), "Astra (19M)": make_policy(shape)}
    return [
        Ratio(
            name=f"control step with the check of observations / without it, {name}",
            ratio=_ratio(policy, rounds),
            must=1.02,
            aim=1.01,
            better="lower",
        )
        for name, policy in policies.items()
    ]


@torch.no_grad()
def _ratio(policy: Astra, rounds: int) -> float:
    state = policy.start([INSTRUCTION], [0])
    observations = [example_observation(policy, seed=t) for t in range(HISTORY + STEPS)]
    for observation in observations[:HISTORY]:
        _, state = policy.act(state, observation)

    def steps(checks: int) -> Callable[[], None]:
        def run() -> None:
            nonlocal state
            state.timestep.fill_(HISTORY)
            for observation in observations[HISTORY:]:
                action, state = policy.choose_action(state, observation)
                for _ in range(checks):
                    policy.check(observation)
                    check_finite_outputs(action)

        return run

    seconds = in_turn({"without": steps(0), "with": steps(CHECKS)}, rounds, label="check of observations")
    without, checked = (statistics.median(seconds[side]) for side in ("without", "with"))
    return 1 + (checked - without) / CHECKS / without
