"""Where and how often a policy is measured: what all environments share, and what some have of their own."""

from dataclasses import dataclass
from typing import Literal

AgentName = Literal["policy", "floor", "expert", "swapped", "shuffled", "blank"]
MAX_TIMESTEPS = 200
NO_SIMULATOR = (
    "astra evaluate knows Push-T, the tabletop and VIMA-Bench; for a simulator of your own see "
    "docs/add-an-environment.md, without one look at astra inspect open-loop RUN"
)
"""What to do where no environment fits a policy."""


@dataclass(frozen=True, kw_only=True)
class EvaluationConfig:
    """Where and how often a policy is measured."""

    episodes: int = 100
    """Episodes, each from an unseen start; with several goals of Push-T they take turns; per task and level where
    there are levels. Source: section 4.3, 100 trials per task."""
    seed: int = 100_000
    """Of the first episode, far above those of demonstrations; each pair of Push-T's goals shares a seed."""
    agents: tuple[AgentName, ...] = ("policy", "floor")
    """policy; floor, which does nothing; expert; on Push-T swapped, the policy told the other goal; on the tabletop and
    VIMA-Bench shuffled, the policy shown another episode's prompt, and blank, with nothing in the prompt's pictures."""
    levels: tuple[str, ...] = ()
    """Levels of generalization, where there are any: L1, L2, L3 and L4; empty: all that have the tasks."""
    tasks: tuple[str, ...] = ()
    """Tasks, where there are several; empty: all of each level."""
    max_timesteps: int = MAX_TIMESTEPS
    """Length of an episode of Push-T; the others set their own. Source: appendix A.10."""
    num_envs: int = 25
    """Episodes that the policy plays together."""
    workers: int = 1
    """Processes."""
    cluster: str | None = None
    """Play on a Ray cluster instead: auto, or its address."""
    videos: int = 4
    """Episodes per agent that are recorded."""
