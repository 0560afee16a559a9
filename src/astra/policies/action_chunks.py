"""Relative actions and action chunks, for every policy that has them.

A relative action is the difference between an action and a reference state: a state vector with the same dimensions,
such as the position of the hand. A policy predicts relative actions from the state in which it predicts them.

An action chunk holds the next C actions. A policy executes the first `n_action_steps` of them and then predicts a new
chunk. Chunks are stored as absolute actions, since the reference state moves on while they are executed.

Deviation: the paper predicts one absolute action at each timestep.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from astra.trajectory import ActionSpec, Observation, Trajectory


def reference_of(
    source: Trajectory | Observation, reference_state: str | None, actions: ActionSpec
) -> Float[Tensor, "*batch N"] | None:
    """Return the reference state of relative actions, or None for absolute ones.

    Binary dimensions, such as a gripper's, stay absolute: their reference is 0.
    """
    if reference_state is None:
        return None
    vector = source.states[reference_state]
    return vector.masked_fill(torch.tensor(actions.binary, device=vector.device), 0.0)


def relative_to(
    reference: Float[Tensor, "... N"], actions: Float[Tensor, "... N"], spec: ActionSpec
) -> Float[Tensor, "... N"]:
    """Return actions minus their reference state; in periodic dimensions, the shorter way around."""
    difference = actions - reference
    if not any(spec.periodic):
        return difference
    turn = difference.new_tensor(spec.high) - difference.new_tensor(spec.low)
    wrapped = difference - turn * torch.round(difference / turn)
    return torch.where(torch.tensor(spec.periodic, device=difference.device), wrapped, difference)


def within_bounds(actions: Float[Tensor, "*batch N"], spec: ActionSpec) -> Float[Tensor, "*batch N"]:
    """Bring absolute actions into the bounds of the data: periodic dimensions wrap around, the others are clamped."""
    low, high = actions.new_tensor(spec.low), actions.new_tensor(spec.high)
    if not any(spec.periodic):
        return actions.clamp(low, high)
    clamped = actions.clamp(low, high)
    around = torch.where(clamped == actions, actions, low + torch.remainder(actions - low, high - low))
    return torch.where(torch.tensor(spec.periodic, device=actions.device), around, clamped)


@dataclass
class ActionChunks:
    """The action chunk that each of B environments executes; updated in place."""

    actions: Float[Tensor, "B C N"]
    """Absolute actions of the chunk."""
    num_executed: Int[Tensor, " B"]
    """Actions of the chunk that were executed."""
    reference: Float[Tensor, "B N"]
    """Reference state at the current timestep; 0 for absolute actions."""

    @classmethod
    def empty(cls, B: int, chunk_size: int, N: int, device: torch.device) -> "ActionChunks":
        """Create the chunks of environments that have not predicted any action."""
        return cls(
            actions=torch.zeros(B, chunk_size, N, device=device),
            num_executed=torch.zeros(B, dtype=torch.long, device=device),
            reference=torch.zeros(B, N, device=device),
        )

    def executed_action(
        self, observation: Observation, reference: Float[Tensor, "B N"] | None, spec: ActionSpec
    ) -> Float[Tensor, "B N"]:
        """Return the executed action relative to its own reference state, and store the reference state of the next."""
        if reference is None:
            return observation.previous_action
        executed = relative_to(self.reference, observation.previous_action, spec)
        self.reference = reference
        return executed

    def needs_new(self, timestep: Int[Tensor, " B"], n_action_steps: int) -> Bool[Tensor, " B"]:
        """Return the environments that need a new chunk: at the first timestep, and after `n_action_steps` actions."""
        return (self.num_executed >= n_action_steps) | (timestep == 0)

    def replace(self, where: Bool[Tensor, " B"], actions: Float[Tensor, "n C N"]) -> None:
        """Store new chunks of absolute actions in the marked environments."""
        self.actions[where] = actions
        self.num_executed[where] = 0

    def next_action(self) -> Float[Tensor, "B N"]:
        """Return the next action of each chunk and count it as executed."""
        env = torch.arange(len(self.num_executed), device=self.num_executed.device)
        action = self.actions[env, self.num_executed]
        self.num_executed += 1
        return action
