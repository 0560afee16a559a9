"""Draw what a policy attends to in the first timesteps of an episode. Source: Figures 7 and 8 of the paper."""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import torch

from astra.environments.environment import Environment
from astra.evaluation.agents import PolicyAgent, observe, prompts
from astra.evaluation.episode import Case, RolloutEnv
from astra.evaluation.pictures.attention_maps import attention_maps
from astra.evaluation.pictures.mask import mask_picture
from astra.evaluation.pictures.style import write_figure
from astra.objects import Objects
from astra.policies.policy import Policy
from astra.trajectory import Trajectory

TIMESTEPS = 5
"""Timesteps of the episode whose attention is drawn."""


def draw_attention(policy: Policy[Any], build: Callable[[], Environment], case: Case, folder: Path) -> None:
    """Draw the mask and the attention maps of a rollout, if the policy has them."""
    draw_maps(policy, play_alone(policy, build, case, TIMESTEPS), folder)


def draw_maps(policy: Policy[Any], trajectory: Trajectory, folder: Path) -> None:
    """Draw the mask and the attention maps of a trajectory, if the policy has them."""
    maps = policy.attention_maps(trajectory)
    if maps is None:
        return
    weights, cpu = [each.cpu() for each in maps.weights], torch.device("cpu")
    rows, columns = maps.rows.to(cpu), maps.columns.to(cpu)
    write_figure(mask_picture(weights[0][0].sum(0) > 0, rows, columns), folder / "mask.png")
    write_figure(attention_maps(weights, rows, columns), folder / "attention.png")


def play_alone(policy: Policy[Any], build: Callable[[], Environment], case: Case, timesteps: int) -> Trajectory:
    """Let a policy act for some timesteps and return what it observed and did as one trajectory."""
    device = policy.device
    agent = PolicyAgent(policy)
    observed, actions = [], []
    with closing(build()) as environment:
        env = RolloutEnv(environment, 0, case)
        agent.start([env])
        instructions, _, pictures = prompts([env], device)
        while env.playing and len(actions) < timesteps and env.timesteps_since_reset == len(actions):
            observed.append(observe([env], policy.spec, device))
            env.step(agent.act([env])[0])
            actions.append(torch.from_numpy(env.executed).float()[None].to(device))
    valid = torch.ones(1, len(actions), dtype=torch.bool, device=device)
    return Trajectory(
        instructions=tuple(instructions),
        states={name: torch.stack([o.states[name] for o in observed], dim=1) for name in policy.spec.states},
        images={name: torch.stack([o.images[name] for o in observed], dim=1) for name in policy.spec.images},
        objects={
            view: Objects(
                **{
                    part: torch.stack([getattr(o.objects[view], part) for o in observed], dim=1)
                    for part in ("crops", "boxes", "valid")
                }
            )
            for view in observed[0].objects
        },
        pictures=pictures,
        valid=valid,
        actions=torch.stack(actions, dim=1),
        action_valid=valid,
    )
