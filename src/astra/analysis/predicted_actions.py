"""Actions that a policy predicts along demonstrated episodes, beside baselines that see no observation.

At every timestep the policy is given the demonstrated observation and the action demonstrated before. It acts as in a
rollout: if it executes several actions of a chunk, it predicts again only after them. The baseline that repeats the
last action knows as much: the action before each chunk.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from astra.analysis.open_loop import absolute_errors, observe_first
from astra.analysis.split import check_same_spec
from astra.datasets import LeRobotDataset, Windows
from astra.datasets.episode import ACTION
from astra.evaluation.held_out_info import LAST_ACTION, MEAN_ACTION, POLICY
from astra.policies.policy import Policy
from astra.progress import progress
from astra.trajectory import ActionSpec

EPISODES_AT_ONCE = 16
"""Number of episodes along which a policy acts at once."""


@dataclass(frozen=True, kw_only=True, eq=False)
class PredictedEpisode:
    """Demonstrated actions of an episode, and the predicted ones."""

    episode: int
    """Number of the episode in its dataset."""
    instruction: str
    """Instruction that the policy is given."""
    demonstrated: Float[Tensor, "T N"]
    """Demonstrated actions."""
    predicted: Mapping[str, Float[Tensor, "T N"]]
    """Predicted actions by what predicts them: the policy or a baseline."""

    def errors(self, actions: ActionSpec) -> dict[str, Float[np.ndarray, " N"]]:
        """Return the mean absolute error of each dimension, by what predicts."""
        return {
            name: absolute_errors(values, self.demonstrated, actions).double().mean(dim=0).numpy()
            for name, values in self.predicted.items()
        }


def predict_episodes(
    policy: Policy[Any], dataset: LeRobotDataset, episodes: Sequence[int], training: Sequence[int]
) -> list[PredictedEpisode]:
    """Let a policy act along demonstrated episodes, with a progress bar on a terminal.

    Args:
        policy: Policy in evaluation mode.
        dataset: Demonstrations.
        episodes: Episodes to follow, usually held-out ones; the number of an episode is the seed of its sampling.
        training: Episodes whose mean action is a baseline.

    Raises:
        ValueError: if the dataset does not have the policy's states, images, objects and actions.
    """
    check_same_spec(policy, dataset)
    mean = mean_action(dataset, training)
    groups = [list(episodes[first : first + EPISODES_AT_ONCE]) for first in range(0, len(episodes), EPISODES_AT_ONCE)]
    total = sum(int(dataset.lengths[group].max()) for group in groups)
    with progress(f"{len(episodes)} held-out episodes", total, "timesteps") as advance:
        followed = [_follow(policy, dataset, group, lambda: advance(1)) for group in groups]
    found = []
    for episode, predicted in zip(episodes, (actions for group in followed for actions in group), strict=True):
        rows = slice(dataset.starts[episode], dataset.ends[episode])
        demonstrated = torch.from_numpy(np.array(dataset.columns[ACTION][rows]))
        found.append(
            PredictedEpisode(
                episode=episode,
                instruction=dataset.instructions[episode],
                demonstrated=demonstrated,
                predicted={
                    POLICY: predicted,
                    LAST_ACTION: repeat_last(demonstrated, mean, policy.decoding.n_action_steps),
                    MEAN_ACTION: mean.expand_as(demonstrated),
                },
            )
        )
    return found


def repeat_last(
    demonstrated: Float[Tensor, "T N"], mean: Float[Tensor, " N"], n_action_steps: int
) -> Float[Tensor, "T N"]:
    """Return the last action before each chunk of `n_action_steps` actions; before the first, the mean action."""
    before = torch.cat([mean[None], demonstrated])
    return before[torch.arange(len(demonstrated)) // n_action_steps * n_action_steps]


def mean_action(dataset: LeRobotDataset, episodes: Sequence[int]) -> Float[Tensor, " N"]:
    """Return the mean action of episodes; in periodic dimensions the mean direction."""
    rows = np.concatenate([np.arange(dataset.starts[episode], dataset.ends[episode]) for episode in episodes])
    values = dataset.columns[ACTION][rows].astype(np.float64)
    actions = dataset.spec.actions
    low, width = np.array(actions.low), np.array(actions.high) - np.array(actions.low)
    angles = 2 * np.pi * (values - low) / width
    around = np.arctan2(np.sin(angles).mean(axis=0), np.cos(angles).mean(axis=0)) % (2 * np.pi)
    mean = np.where(actions.periodic, low + around / (2 * np.pi) * width, values.mean(axis=0))
    return torch.from_numpy(mean).float()


@torch.no_grad()
def _follow(
    policy: Policy[Any], dataset: LeRobotDataset, episodes: Sequence[int], advance: Callable[[], None]
) -> list[Float[Tensor, "T N"]]:
    """Return the policy's actions along each episode; one that has ended goes on at its last timestep, unused."""
    windows = Windows(dataset, episodes, timesteps=1)
    lengths = dataset.lengths[list(episodes)]
    starts = np.cumsum(lengths) - lengths
    state, chosen = None, []
    executed = torch.zeros(len(episodes), len(policy.spec.actions), device=policy.device)
    for timestep in range(int(lengths.max())):
        batch = windows.batch(starts + np.minimum(timestep, lengths - 1)).to(policy.device)
        if state is None:
            state = policy.start(batch.instructions, list(episodes), batch.pictures)
        action, state = policy.act(state, observe_first(batch, executed))
        chosen.append(action.cpu())
        executed = batch.actions[:, 0]
        advance()
    actions = torch.stack(chosen, dim=1)
    return [actions[number, :length] for number, length in enumerate(lengths.tolist())]
