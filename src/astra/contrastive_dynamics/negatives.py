"""Anchors, positives and negatives of a batch, as indices of the segments that they consist of.

A negative keeps the anchor's prompt and violates its dynamics: some of its states come from one other trajectory of the
batch and some of its actions from a second one, each at its own timestep, so every segment is real and at its place in
time. A negative consists of original or of augmented segments, with equal probability, so that an augmented look
carries no information. Source: section 3.3 and its three principles, Figure 4b. Deviation: the paper mixes original and
augmented segments in one negative.

Deviation: two kinds are harder than the paper's. Donors with the same instruction; and neighboring segments of the
anchor itself that are swapped, which gives up the third principle for neighboring timesteps. `mixed` makes half of the
negatives by swaps, the other half by donors with the same instruction.
"""

from dataclasses import dataclass, replace
from typing import Literal

import torch
from jaxtyping import Bool, Int64, Shaped
from torch import Tensor
from torch.nn import functional as F

from astra.trajectory import Trajectory

Negatives = Literal["any_task", "same_task", "near_time", "mixed"]
"""Donors with any instruction, preferably with the same one; two neighboring states or actions swapped; or half of the
last, rounded down, and half of the second."""

ORIGINAL, AUGMENTED = 0, 1
"""Two versions of every trajectory of a batch."""
MIN_EPISODES = 3
"""Episodes needed for a negative: those of an anchor, of a donor of states and of a donor of actions."""


class TooFewEpisodesError(ValueError):
    """Error for a batch with too few episodes for a negative."""


@dataclass(frozen=True, kw_only=True)
class Contrast:
    """A anchors of a batch with J negatives each, as indices of their segments.

    An anchor has 2 + J candidates: itself, its positive and its negatives. The index of a segment is
    (version * B + trajectory) * T + timestep.
    """

    anchors: Int64[Tensor, " A"]
    """Indices of the anchors in the batch."""
    rows: Int64[Tensor, " U"]
    """Trajectories whose states are used, as version * B + trajectory in increasing order; only these are tokenized."""
    originals: int
    """Number of these that are original; they come first."""
    states: Int64[Tensor, "A candidates T"]
    """Index of each state, counted in `rows` instead of all trajectories."""
    actions: Int64[Tensor, "A candidates T"]
    """Index of each action."""
    first_prompts: tuple[int, ...]
    """One trajectory for each distinct prompt of the anchors."""
    prompts: Int64[Tensor, " A"]
    """Index of each anchor's prompt among these."""

    def to(self, device: torch.device | str) -> "Contrast":
        """Move to a device."""
        tensors = {name: value for name, value in vars(self).items() if isinstance(value, Tensor)}
        moved = {name: value.to(device, non_blocking=True) for name, value in tensors.items()}
        return replace(self, **moved)


def draw_contrast(
    trajectory: Trajectory,
    *,
    fraction: float,
    negatives: int,
    negatives_from: Negatives = "any_task",
    replace_prob: float = 0.5,
    min_timesteps: int = 1,
) -> Contrast:
    """Draw anchors and their negatives, by PyTorch's CPU generator.

    Args:
        trajectory: Batch on the CPU, so that no device synchronization is needed.
        fraction: Share of the batch that becomes anchors; at least one anchor.
        negatives: J.
        negatives_from: Source of the negatives' segments.
        replace_prob: Probability that a segment is replaced; at least one is, and never all.
        min_timesteps: Fewest real timesteps of an anchor; if no trajectory has them, those of the longest.

    Raises:
        TooFewEpisodesError: if there are too few episodes for an anchor to have two donors.
    """
    B, T = trajectory.valid.shape
    real = (trajectory.valid & trajectory.action_valid[:, :T]).cpu()
    episodes = torch.arange(B) if trajectory.episodes is None else trajectory.episodes.cpu()
    able = real[:, 0].nonzero()[:, 0]
    if len(episodes[able].unique()) < MIN_EPISODES:
        raise TooFewEpisodesError(
            f"a batch of {B} trajectories is too small for contrastive dynamics learning: a negative takes its states "
            f"and its actions from two other episodes, so each micro-batch needs at least {MIN_EPISODES} episodes; "
            f"raise batch_size, or lower gradient_accumulation_steps"
        )
    long = able[real[able].sum(1) >= min(min_timesteps, int(real[able].sum(1).max()))]
    anchors = long[torch.randperm(len(long))[: max(1, round(fraction * B))]].sort().values
    A, J = len(anchors), negatives

    tasks = _tasks(trajectory) if negatives_from in ("same_task", "mixed") else torch.zeros(B)
    donors = _draw_donors(anchors, J, able, episodes, tasks)
    own = torch.arange(T).expand(A, J, 2, T) + (anchors * T)[:, None, None, None]  # of states, and of actions
    theirs = torch.arange(T) + (donors * T)[..., None]
    mixed = torch.where(_draw_replaced(real, anchors, donors, replace_prob), theirs, own)
    if negatives_from in ("near_time", "mixed"):
        swapped = _swap_neighbors(_changing(trajectory, anchors, real), own, mixed)
        first = J if negatives_from == "near_time" else J // 2
        mixed = torch.cat([swapped[:, :first], mixed[:, first:]], dim=1)
    # All segments of a negative are of one version: a mixture could be recognized by its look.
    of_negatives = mixed + (torch.rand(A, J, 1, 1) < 0.5) * (B * T)
    of_pair = own[:, :1] + torch.tensor([ORIGINAL, AUGMENTED])[:, None, None] * (B * T)
    states, actions = torch.cat([of_pair, of_negatives], dim=1).unbind(2)

    rows, place = torch.unique(states // T, return_inverse=True)
    first, prompts = _distinct_prompts(trajectory, anchors)
    return Contrast(
        anchors=anchors,
        rows=rows,
        originals=int((rows < B).sum()),
        states=place * T + states % T,
        actions=actions,
        first_prompts=first,
        prompts=prompts,
    )


def _tasks(trajectory: Trajectory) -> Int64[Tensor, " B"]:
    """Return an index for each instruction; equal ones have the same."""
    numbers = {words: number for number, words in enumerate(dict.fromkeys(trajectory.instructions))}
    return torch.tensor([numbers[words] for words in trajectory.instructions])


def _draw_donors(
    anchors: Int64[Tensor, " A"],
    J: int,
    able: Int64[Tensor, " able"],
    episodes: Int64[Tensor, " B"],
    tasks: Shaped[Tensor, " B"],
) -> Int64[Tensor, "A J 2"]:
    """Draw two donors for each negative, of its states and of its actions, preferably with the anchor's task.

    The anchor and its donors are of three episodes: two windows of one episode would fit together.
    """
    scores = torch.full((len(anchors), J, len(episodes)), -2.0)
    scores[..., able] = torch.rand(len(anchors), J, len(able))
    scores += (tasks[anchors][:, None] == tasks)[:, None]
    scores = scores.masked_fill((episodes[anchors][:, None] == episodes)[:, None], -torch.inf)
    first = scores.argmax(-1, keepdim=True)
    second = scores.masked_fill(episodes[first] == episodes, -torch.inf).argmax(-1, keepdim=True)
    swapped = torch.rand(first.shape) < 0.5
    return torch.cat([torch.where(swapped, second, first), torch.where(swapped, first, second)], dim=-1)


def _draw_replaced(
    real: Bool[Tensor, "B T"], anchors: Int64[Tensor, " A"], donors: Int64[Tensor, "A J 2"], probability: float
) -> Bool[Tensor, "A J 2 T"]:
    """Draw the segments to replace, where anchor and donor both have one: at least one, and never all.

    In a trajectory of one timestep, this is exactly one of its two segments.
    """
    possible = real[donors] & real[anchors][:, None, None]
    chance = torch.rand(possible.shape)
    chosen = possible & (chance < probability)
    least = chance.masked_fill(~possible, 2.0).flatten(2).argmin(-1, keepdim=True)
    chosen = chosen.flatten(2).scatter(2, least, True)
    total = 2 * real[anchors].sum(1)[:, None, None]
    kept = torch.rand(chosen.shape).masked_fill(~chosen, 2.0).argmin(-1, keepdim=True)
    spared = chosen.scatter(2, kept, False)
    return torch.where(chosen.sum(-1, keepdim=True) == total, spared, chosen).view(possible.shape)


def _changing(trajectory: Trajectory, anchors: Int64[Tensor, " A"], real: Bool[Tensor, "B T"]) -> Bool[Tensor, "A 2 T"]:
    """Return which states and actions of the anchors differ from the next one; equal ones cannot be swapped."""
    T = real.shape[1]
    states = [*trajectory.states.values(), *trajectory.images.values(), *trajectory.features.values()]
    for view in trajectory.objects.values():
        states += [view.crops, view.boxes, view.valid]
    changing = torch.zeros(len(anchors), 2, T, dtype=torch.bool)
    for kind, parts in enumerate((states, [trajectory.actions])):
        for values in parts:
            own = values[anchors, :T]
            changing[:, kind, :-1] |= (own[:, 1:] != own[:, :-1])[..., None].flatten(2).any(-1)
    changing[..., :-1] &= real[anchors, None, 1:]
    return changing


def _swap_neighbors(
    changing: Bool[Tensor, "A 2 T"], own: Int64[Tensor, "A J 2 T"], otherwise: Int64[Tensor, "A J 2 T"]
) -> Int64[Tensor, "A J 2 T"]:
    """Swap two neighboring states or actions that differ; use `otherwise` if there are none."""
    A, J, _, T = own.shape
    chance = torch.rand(A, J, 2, T).masked_fill(~changing[:, None], -1.0)
    chosen = F.one_hot(chance.flatten(2).argmax(-1), 2 * T).view(A, J, 2, T)
    step = chosen - chosen.roll(1, -1)
    able = changing.flatten(1).any(1)[:, None, None, None]
    return torch.where(able, own + step, otherwise)


def _distinct_prompts(
    trajectory: Trajectory, anchors: Int64[Tensor, " A"]
) -> tuple[tuple[int, ...], Int64[Tensor, " A"]]:
    """Return one trajectory per distinct prompt of the anchors, and the index of each anchor's prompt."""
    first, number = trajectory.distinct_prompts()
    numbers, prompts = torch.unique(torch.tensor(number)[anchors], return_inverse=True)
    return tuple(first[each] for each in numbers.tolist()), prompts
