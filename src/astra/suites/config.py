"""How a policy is measured, whatever the suite; the suite's own options come beside it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from astra.environments.seeds import EVALUATION
from astra.storage.numbers import Count, CountOrNone, Episodes, Seed, Workers, check_numbers

AgentName = Literal["policy", "no-op", "expert", "swapped", "shuffled", "blank", "blind", "no-history"]


@dataclass(frozen=True, kw_only=True)
class EvaluationConfig:
    """Episodes, agents and processes of an evaluation."""

    episodes: Episodes = 100
    """Number of episodes per task and level; the goals of a task take turns. Source: section 4.3, 100 trials per
    task."""
    episodes_at: Mapping[str, Episodes] = field(default_factory=dict)
    """Exceptions from --episodes: a level and its number of episodes per task, such as seen-0 6."""
    seed: Seed = EVALUATION
    """Seed of the first episode of each task; demonstrations have other ones. All goals of a task are played with
    the same seeds."""
    agents: tuple[AgentName, ...] = ("policy", "no-op")
    """Agents to measure: the policy; no-op, which does nothing; the expert; and the controls that the suite supports.
    A control is the policy with something taken away: swapped is told another goal, shuffled gets another episode's
    prompt, blank gets blank pictures in its prompt, blind gets black camera frames, and no-history attends to the
    present timestep only."""
    levels: tuple[str, ...] = ()
    """Levels of generalization, in suites that have levels; empty: all levels that contain the chosen tasks."""
    tasks: tuple[str, ...] = ()
    """Names of the tasks; empty: all of each level."""
    num_envs: Count = 25
    """Number of environments that one process steps together."""
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
