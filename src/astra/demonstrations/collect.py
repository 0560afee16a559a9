"""Let the expert of any suite demonstrate, in parallel, and write a dataset."""

import os
from collections import Counter, deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from astra.datasets import DatasetWriter, Episode
from astra.environments.environment import is_success
from astra.environments.seeds import EVALUATION, LATER, demonstration_seed
from astra.environments.suite import Demonstration, Goal, Suite
from astra.parallel.interruption import held_back
from astra.parallel.pool import pool
from astra.progress import progress
from astra.storage.numbers import Episodes, Seed, Workers, check_numbers

AHEAD = 16
"""Demonstrations per worker that are requested before the first of them is written."""
PATIENCE = 50
"""Failures in a row after which a task is given up."""


@dataclass(frozen=True, kw_only=True)
class CollectConfig:
    """How many demonstrations are collected, and where they go."""

    episodes: Episodes
    """Number of successful demonstrations, over all tasks."""
    output: Path
    """Folder of the new dataset; must not exist."""
    level: str = ""
    """Level of generalization, in suites that have levels; empty: the one for training."""
    tasks: tuple[str, ...] = ()
    """Tasks, taken in turn; empty: all tasks of the level."""
    seed: Seed = 0
    """Seed of the first attempt; each next one is larger by one, and those of evaluations, from 100,000 to 299,999, are
    left out. Where tasks get equal shares, each counts its own."""
    workers: Workers = os.cpu_count() or 1
    """Number of worker processes."""
    video: bool = False
    """Store cameras as video (H.264), which takes far less space and loses a little of the colors."""
    cluster: str | None = None
    """Ray cluster on which experts act instead: auto, or its address; None: this machine."""

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            ValueError: if one is out of range, or the seed belongs to evaluations; the message names the field.
        """
        check_numbers(self, "")
        if demonstration_seed(self.seed) != self.seed:
            raise ValueError(
                f"got --seed {self.seed}, which belongs to evaluations, expected one below {EVALUATION} or from {LATER}"
            )


def collect(suite: Suite, config: CollectConfig, options: Any = None) -> Path:
    """Let the expert demonstrate and return the folder of the dataset.

    If an error, Ctrl-C or SIGTERM ends the work early, the complete episodes are kept, and the error is raised after
    that.

    Args:
        suite: Suite whose expert demonstrates.
        config: Number of demonstrations, tasks and workers.
        options: Options of the suite; None: its defaults.

    Raises:
        FileExistsError: if the folder exists.
        ValueError: if the suite has no expert or no such level or task, its simulator is not installed, or the expert
            fails 50 times in a row in one task.
    """
    if suite.make_expert is None and suite.demonstrate is None:
        raise ValueError(f"{suite.name} has no expert, so it has no demonstrations to collect")
    options = (suite.demonstration_options or suite.options)() if options is None else options
    levels = (config.level,) if config.level else tuple(filter(None, [suite.training_level]))
    goals = [(task.name, goal) for _, task in suite.choose(options, levels, config.tasks) for goal in task.goals]
    spec = suite.spec(options)
    writer = DatasetWriter(
        config.output,
        fps=spec.fps,
        actions=spec.actions,
        robot_type=suite.name,
        views=spec.objects.views if spec.objects else None,
        max_pictured=spec.objects.max_pictured if spec.objects else 0,
        suite=suite.name,
        video=config.video,
    )
    attempts = Counter[bool]()
    with closing(_demonstrations(suite, options, goals, config, attempts)) as demonstrations, writer:
        episodes = (
            Episode(instruction=shown.instruction, columns=shown.columns, pictures=shown.pictures, fps=spec.fps)
            for shown in demonstrations
        )
        written, failure = _write_all(writer, episodes, config.episodes)
        if suite.sentences is not None:
            told = suite.sentences(options)
            writer.tell({instruction: told[instruction] for instruction in written if instruction in told})
    print(f"the expert succeeded in {attempts[True]} of {attempts.total()} attempts; only successes are kept")
    if failure is not None:
        raise failure
    return config.output


def demonstrate(suite: Suite, options: Any, goal: Goal, seed: int) -> Demonstration | None:
    """Record the expert in one episode; None if it does not succeed. Equal arguments give equal demonstrations.

    As in an evaluation, actions are clipped to the bounds, and the episode ends after `max_timesteps`.

    Raises:
        ValueError: if the instruction changes during the episode, and the suite has no `demonstrate` of its own.
    """
    if suite.demonstrate is not None:
        return suite.demonstrate(options, goal.reset, seed)
    assert suite.make_expert is not None
    expert = suite.make_expert(seed)
    steps: list[dict[str, np.ndarray]] = []
    with closing(suite.build(options)) as environment:
        observation, _ = environment.reset(seed=seed, options={**goal.reset, **suite.expert_reset})
        instruction, pictures = environment.instruction, dict(environment.prompt_pictures)
        bounds = environment.spec_of_trajectories.actions
        ended = False
        while not ended:
            action = np.array(expert.act(environment), np.float64)
            np.clip(action, bounds.low, bounds.high, out=action)
            # Copied, because an environment may write the next observation into the same arrays.
            steps.append({name: np.array(values) for name, values in observation.items()})
            steps[-1]["action"] = action.astype(np.float32)
            observation, _, terminated, truncated, info = environment.step(steps[-1]["action"])
            ended = bool(terminated or truncated or len(steps) >= environment.max_timesteps)
            if is_success(environment, info) and (ended or suite.success == "at any step"):
                columns = {name: np.stack([step[name] for step in steps]) for name in steps[0]}
                return Demonstration(instruction=instruction, columns=columns, pictures=pictures)
            if not ended and environment.instruction != instruction:
                raise ValueError(
                    f"a demonstration follows one instruction, but {suite.name} went on from {instruction!r} to "
                    f"{environment.instruction!r}: give the suite a `demonstrate` that records one instruction"
                )
    return None


class _Attempts(Iterator[tuple[int, int]]):
    """Which goal to try next, and with which seed; the order does not depend on the number of workers."""

    def __init__(self, goals: int, config: CollectConfig, *, equal_shares: bool) -> None:
        self._wanted = deque(number % goals for number in range(config.episodes)) if equal_shares else None
        self._goals = goals
        self._next_seeds = [config.seed] * (goals if equal_shares else 1)

    def __next__(self) -> tuple[int, int]:
        if self._wanted is None:
            seed = self._next_seed(0)
            return seed % self._goals, seed
        if not self._wanted:
            raise StopIteration
        goal = self._wanted.popleft()
        return goal, self._next_seed(goal)

    def _next_seed(self, counter: int) -> int:
        seed = demonstration_seed(self._next_seeds[counter])
        self._next_seeds[counter] = seed + 1
        return seed

    def retry(self, goal: int) -> None:
        """Note that an attempt failed."""
        if self._wanted is not None:
            self._wanted.append(goal)


def _demonstrations(
    suite: Suite, options: Any, goals: Sequence[tuple[str, Goal]], config: CollectConfig, tried: Counter[bool]
) -> Generator[Demonstration]:
    """Yield successful demonstrations in the order of their attempts, and count successes and failures.

    Raises:
        ValueError: if a task fails too often in a row.
    """
    attempts = _Attempts(len(goals), config, equal_shares=suite.equal_shares)
    failures = Counter[int]()
    waiting = deque[tuple[int, int, Future[Demonstration | None]]]()
    with pool(config.workers, cluster=config.cluster, shared=(suite, options)) as experts:
        while True:
            while len(waiting) < AHEAD * experts.workers and (attempt := next(attempts, None)):
                goal, seed = attempt
                waiting.append((goal, seed, experts.submit(demonstrate, goals[goal][1], seed)))
            if not waiting:
                return
            goal, seed, future = waiting.popleft()
            shown = future.result()
            tried[shown is not None] += 1
            if shown is not None:
                failures[goal] = 0
                yield shown
                continue
            failures[goal] += 1
            if failures[goal] == PATIENCE:
                task = goals[goal][0]
                raise ValueError(f"the expert failed {PATIENCE} times in a row in {task}, last with the seed {seed}")
            attempts.retry(goal)


def _write_all(
    writer: DatasetWriter, episodes: Iterator[Episode], total: int
) -> tuple[list[str], BaseException | None]:
    """Write episodes and show the progress; return their instructions, and an error that came after the first one."""
    collected, instructions = 0, dict[str, None]()
    with progress("collecting", total, "episodes") as advance:
        try:
            while collected < total:
                episode = next(episodes)
                with held_back():
                    writer.add(episode)
                    instructions[episode.instruction] = None
                    collected += 1
                advance(1)
        except (Exception, KeyboardInterrupt) as error:
            if not collected:
                raise
            print(f"stopped early: {writer.folder} holds the {collected} episodes that were complete")
            return list(instructions), error
    return list(instructions), None
