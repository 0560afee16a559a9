"""Which segments the trajectories of a contrast are made of.

A negative keeps the anchor's prompt and violates its dynamics: some of its states come from one other trajectory of
the batch and some of its actions from a second one, each at the timestep where it was, so that nothing in it is random
or out of its place in time. It is made of the original segments or of the augmented ones, as chance has it: an
augmented look tells nothing. Source: section 3.3 and its three principles, Figure 4b.

Two kinds are harder to tell than the paper's: donors that were told the same, and neighboring segments of the anchor
itself that changed places, which gives up the third principle for timesteps next to each other.
"""

from dataclasses import dataclass, replace
from typing import Literal

import torch
from jaxtyping import Bool, Int64, Shaped
from torch import Tensor
from torch.nn import functional as F

from astra.trajectory import Trajectory

Negatives = Literal["any_task", "same_task", "near_time"]
"""Donors with any instruction, or first those with the same one; or two neighboring states or actions exchanged."""

ORIGINAL, AUGMENTED = 0, 1
"""The two versions of every trajectory of a batch."""
FEWEST_CONTRASTED = 3
"""Trajectories out of which a negative can be made: an anchor, and a donor each of states and of actions."""


class TooFewEpisodesError(ValueError):
    """A batch holds too few episodes for a negative."""


@dataclass(frozen=True, kw_only=True)
class Contrast:
    """A anchors of a batch with J negatives each, told by where their segments come from.

    The C = 2 + J candidates of an anchor are itself, its positive and its negatives. A place is the number
    (version * B + trajectory) * T + timestep.
    """

    anchors: Int64[Tensor, " A"]
    """Places in the batch."""
    rows: Int64[Tensor, " U"]
    """Trajectories whose states are used, as version * B + trajectory in rising order; no other is tokenized."""
    originals: int
    """How many of them are original, which come first."""
    states: Int64[Tensor, "A C T"]
    """Place of each state, counted in `rows` instead of all trajectories."""
    actions: Int64[Tensor, "A C T"]
    """Place of each action."""
    first_prompts: tuple[int, ...]
    """Trajectories that stand for the distinct prompts of the anchors."""
    prompts: Int64[Tensor, " A"]
    """Which of these each anchor has."""

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
) -> Contrast:
    """Draw anchors and their negatives, by PyTorch's generator of the CPU.

    Args:
        trajectory: A batch, on the CPU, so that no device is waited for.
        fraction: Share of the batch that becomes anchors, one at least.
        negatives: J.
        negatives_from: Where their segments come from.
        replace_prob: Probability that a segment is replaced; one at least is, and never all.

    Raises:
        TooFewEpisodesError: if there are too few trajectories for any anchor to have two donors.
    """
    B, T = trajectory.valid.shape
    real = (trajectory.valid & trajectory.action_valid[:, :T]).cpu()
    episodes = torch.arange(B) if trajectory.episodes is None else trajectory.episodes.cpu()
    able = real[:, 0].nonzero()[:, 0]
    if len(episodes[able].unique()) < FEWEST_CONTRASTED:
        raise TooFewEpisodesError(
            f"a batch of {B} trajectories is too small for contrastive dynamics learning: a negative takes its states "
            f"and its actions from two other episodes; have {FEWEST_CONTRASTED} episodes at least in each micro-batch "
            f"(a larger batch_size, or a smaller accumulate)"
        )
    anchors = able[torch.randperm(len(able))[: max(1, round(fraction * B))]].sort().values
    A, J = len(anchors), negatives

    told = _told(trajectory) if negatives_from == "same_task" else torch.zeros(B)
    donors = _draw_donors(anchors, J, able, episodes, told)
    own = torch.arange(T).expand(A, J, 2, T) + (anchors * T)[:, None, None, None]  # of states, and of actions
    theirs = torch.arange(T) + (donors * T)[..., None]
    exchanged = torch.where(_draw_replaced(real, anchors, donors, replace_prob), theirs, own)
    if negatives_from == "near_time":
        exchanged = _exchange_neighbors(_changing(trajectory, anchors, real), own, exchanged)
    # A whole negative is of one version: a mixture would tell itself apart.
    of_negatives = exchanged + (torch.rand(A, J, 1, 1) < 0.5) * (B * T)
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


def _told(trajectory: Trajectory) -> Int64[Tensor, " B"]:
    """Number the instructions, equal ones alike."""
    numbers = {words: number for number, words in enumerate(dict.fromkeys(trajectory.instructions))}
    return torch.tensor([numbers[words] for words in trajectory.instructions])


def _draw_donors(
    anchors: Int64[Tensor, " A"],
    J: int,
    able: Int64[Tensor, " able"],
    episodes: Int64[Tensor, " B"],
    told: Shaped[Tensor, " B"],
) -> Int64[Tensor, "A J 2"]:
    """Draw two donors for each negative, of its states and of its actions; those that were told the same come first.

    The anchor and its donors are of three episodes: two windows of one would fit together.
    """
    scores = torch.full((len(anchors), J, len(episodes)), -2.0)
    scores[..., able] = torch.rand(len(anchors), J, len(able))
    scores += (told[anchors][:, None] == told)[:, None]
    scores = scores.masked_fill((episodes[anchors][:, None] == episodes)[:, None], -torch.inf)
    first = scores.argmax(-1, keepdim=True)
    second = scores.masked_fill(episodes[first] == episodes, -torch.inf).argmax(-1, keepdim=True)
    swapped = torch.rand(first.shape) < 0.5
    return torch.cat([torch.where(swapped, second, first), torch.where(swapped, first, second)], dim=-1)


def _draw_replaced(
    real: Bool[Tensor, "B T"], anchors: Int64[Tensor, " A"], donors: Int64[Tensor, "A J 2"], probability: float
) -> Bool[Tensor, "A J 2 T"]:
    """Draw the segments that are replaced: where anchor and donor both have one, one at least, and never all.

    Of a trajectory of one timestep that is exactly one of its two segments.
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
    """Tell which states and which actions of the anchors are followed by another: what rests cannot be exchanged."""
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


def _exchange_neighbors(
    changing: Bool[Tensor, "A 2 T"], own: Int64[Tensor, "A J 2 T"], otherwise: Int64[Tensor, "A J 2 T"]
) -> Int64[Tensor, "A J 2 T"]:
    """Exchange two neighboring states, or two neighboring actions, that differ; take `otherwise` where none do."""
    A, J, _, T = own.shape
    chance = torch.rand(A, J, 2, T).masked_fill(~changing[:, None], -1.0)
    chosen = F.one_hot(chance.flatten(2).argmax(-1), 2 * T).view(A, J, 2, T)
    step = chosen - chosen.roll(1, -1)
    able = changing.flatten(1).any(1)[:, None, None, None]
    return torch.where(able, own + step, otherwise)


def _distinct_prompts(
    trajectory: Trajectory, anchors: Int64[Tensor, " A"]
) -> tuple[tuple[int, ...], Int64[Tensor, " A"]]:
    """Number the distinct prompts of the anchors."""
    first, number = trajectory.distinct_prompts()
    numbers, prompts = torch.unique(torch.tensor(number)[anchors], return_inverse=True)
    return tuple(first[each] for each in numbers.tolist()), prompts
