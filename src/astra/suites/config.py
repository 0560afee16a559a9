"""How a policy is measured, whatever the suite; the suite's own options come beside it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from astra.storage.numbers import Count, CountOrNone, Episodes, Seed, Workers, check_numbers

AgentName = Literal["policy", "no-op", "expert", "swapped", "shuffled", "blank", "blind", "no-history"]


@dataclass(frozen=True, kw_only=True)
class EvaluationConfig:
    """Episodes, agents and processes of an evaluation."""

    episodes: Episodes = 100
    """Number of episodes per task and level; the goals of a task take turns. Source: section 4.3, 100 trials per
    task."""
    episodes_at: Mapping[str, Episodes] = field(default_factory=dict)
    """Other numbers of episodes per task at some levels, such as seen-0 6, where levels have unequally many tasks."""
    seed: Seed = 100_000
    """Seed of the first episode of each task, far above those of demonstrations; the goals of a task share seeds."""
    agents: tuple[AgentName, ...] = ("policy", "no-op")
    """Agents to measure: policy; no-op, which does nothing; expert; and controls, as far as the suite has them.
    swapped is the policy with the instruction of another goal, shuffled the policy with another episode's prompt, blank
    the policy with blank pictures in its prompt, blind the policy whose camera frames are black, no-history the policy
    that attends to the present timestep only."""
    levels: tuple[str, ...] = ()
    """Levels of generalization, in suites that have levels; empty: all that have the tasks."""
    tasks: tuple[str, ...] = ()
    """Names of the tasks; empty: all of each level."""
    num_envs: Count = 25
    """Number of environments in which one process acts at once."""
    workers: Workers = 1
    """Number of worker processes."""
    cluster: str | None = None
    """Ray cluster on which episodes are played instead: auto, or its address; None: this machine."""
    videos: CountOrNone = 4
    """Number of episodes per agent that are recorded; 0 also leaves out the pictures of the policy's attention."""

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            ValueError: if one is out of range; the message names the field.
        """
        check_numbers(self, "")

    def episodes_of(self, level: str) -> int:
        """Return the number of episodes per task at a level."""
        return self.episodes_at.get(level, self.episodes)
