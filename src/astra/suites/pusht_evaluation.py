"""Measure a policy on Push-T, beside the floor, the expert and the control with swapped instructions."""

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from astra.environments.pusht.environment import AGENT, BLOCK, IMAGE, PushT, PushTConfig
from astra.environments.pusht.expert import PushTExpert
from astra.environments.pusht.geometry import CENTER, GOAL_POSES, Pose, instruction_for
from astra.evaluation.agents import ExpertAgent, NoOp
from astra.evaluation.episode import Case
from astra.evaluation.evaluate import Evaluation, evaluate
from astra.evaluation.pictures.attention_maps import attention_maps
from astra.evaluation.pictures.mask import mask_picture
from astra.evaluation.pictures.style import write_figure
from astra.parallel.processes import in_main
from astra.policies.policy import Policy
from astra.suites.config import NO_SIMULATOR, EvaluationConfig
from astra.trajectory import Observation, Trajectory, TrajectorySpec

DRAWN_TIMESTEPS = 5
"""Of the episode whose attention is drawn."""
SCORE = "reward"
"""The score that is compared: the mean over episodes of the largest min(coverage / 0.95, 1)."""


def evaluate_pusht(
    policy: Policy[Any], folder: Path, config: EvaluationConfig, provenance: Mapping[str, Any] | None = None
) -> dict[str, Evaluation]:
    """Play all agents' episodes and write their results, videos and pictures under a folder.

    The goals are those of the policy's instructions. `policy` comes into the folder itself, the others beside it.

    Raises:
        ValueError: if the policy does not fit Push-T, swapping is asked of a policy with one goal, or Push-T has no
            such agent, level or task.
    """
    environment = fitting_environment(policy.spec, config.max_timesteps)
    goals = [GOAL_POSES[name] for name in policy.spec.instructions if name in GOAL_POSES] or [CENTER]
    if foreign := sorted({"shuffled", "blank"} & set(config.agents)):
        raise ValueError(f"Push-T's prompts have no pictures to show {' or '.join(foreign)}; its control is swapped")
    if config.levels or config.tasks:
        raise ValueError("Push-T has neither levels nor tasks: leave them out")
    if "swapped" in config.agents and len(goals) < 2:
        raise ValueError(f"swapped instructions need a policy that knows two goals, this one knows {goals}")
    agents = {"policy": policy, "swapped": policy, "floor": NoOp(), "expert": ExpertAgent(PushTExpert)}
    evaluations = {}
    for name in config.agents:
        evaluations[name] = evaluate(
            agents[name],
            environment.build,
            _cases(goals, config, swap=name == "swapped"),
            folder=folder if name == "policy" else folder / name,
            name=name,
            num_envs=config.num_envs,
            workers=config.workers,
            cluster=config.cluster,
            num_videos=config.videos,
            provenance={"max_timesteps": config.max_timesteps, **(provenance or {})},
        )
    in_main(lambda: draw_attention(policy, environment, goals[0], folder))
    return evaluations


def fitting_environment(spec: TrajectorySpec, max_timesteps: int) -> PushTConfig:
    """Choose the observations that a policy was trained on.

    Raises:
        ValueError: if Push-T has no such observations or actions.
    """
    for kind in ("keypoints", "state", "pixels"):
        size = spec.images.get(IMAGE, (96, 96))[0]
        config = PushTConfig(observation=kind, max_timesteps=max_timesteps, frame_size=size)
        with closing(config.build()) as pusht:
            offered = pusht.spec_of_trajectories
        if dict(spec.states) == dict(offered.states) and dict(spec.images) == dict(offered.images):
            if len(spec.actions) != len(offered.actions):
                break
            return config
    raise ValueError(
        f"this policy sees {dict(spec.states) | dict(spec.images)} and has {len(spec.actions)} action dimensions; "
        f"Push-T offers {AGENT} (2) with {BLOCK} (16 or 4) or {IMAGE}, and has 2 action "
        f"dimensions; {NO_SIMULATOR}"
    )


def draw_attention(policy: Policy[Any], environment: PushTConfig, goal: Pose, folder: Path) -> None:
    """Draw the mask and the attention maps of the first timesteps, if there are any. Source: Figures 7 and 8."""
    with closing(replace(environment, max_timesteps=DRAWN_TIMESTEPS).build()) as pusht:
        trajectory = play_alone(policy, pusht, goal)
    maps = policy.attention_maps(trajectory)
    if maps is None:
        return
    visible = maps.weights[0][0].sum(0) > 0
    write_figure(mask_picture(visible, maps.rows, maps.columns), folder / "mask.png")
    write_figure(attention_maps(maps.weights, maps.rows, maps.columns), folder / "attention.png")


def play_alone(policy: Policy[Any], environment: PushT, goal: Pose) -> Trajectory:
    """Let a policy act until the episode ends and give what it saw and did, as one trajectory."""
    seen, _ = environment.reset(seed=0, options={"goal": goal})
    state = policy.start([environment.instruction], [0])
    observed: list[Observation] = []
    actions: list[torch.Tensor] = []
    ended = False
    device = policy.device
    action = torch.zeros(1, len(policy.spec.actions), device=device)
    while not ended:
        observation = Observation(
            states={name: torch.from_numpy(seen[name])[None].to(device) for name in policy.spec.states},
            images={
                name: torch.from_numpy(seen[name]).permute(2, 0, 1)[None].to(device) for name in policy.spec.images
            },
            previous_action=action,
        )
        action, state = policy.act(state, observation)
        observed.append(observation)
        actions.append(action)
        seen, _, terminated, truncated, _ = environment.step(action[0].cpu().numpy())
        ended = terminated or truncated
    valid = torch.ones(1, len(actions), dtype=torch.bool, device=device)
    return Trajectory(
        instructions=(environment.instruction,),
        states={name: torch.stack([o.states[name] for o in observed], dim=1) for name in policy.spec.states},
        images={name: torch.stack([o.images[name] for o in observed], dim=1) for name in policy.spec.images},
        valid=valid,
        actions=torch.stack(actions, dim=1),
        action_valid=valid,
    )


def _cases(goals: Sequence[Pose], config: EvaluationConfig, *, swap: bool) -> list[Case]:
    cases = []
    for episode in range(config.episodes):
        seed, number = divmod(episode, len(goals))
        told = instruction_for(goals[(number + 1) % len(goals)]) if swap else None
        cases.append(Case(seed=config.seed + seed, options={"goal": goals[number]}, instruction=told))
    return cases
