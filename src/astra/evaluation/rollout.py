"""Rollouts: several environments are stepped together, and one call of the agent serves all of them.

An environment whose episode has ended takes the next case at once, so that the batch stays full until the cases run
out. The result of an episode depends on its case alone, not on the other environments (up to the rounding of batched
arithmetic).
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import as_completed
from contextlib import ExitStack
from typing import Any

import numpy as np

from astra.environments.environment import Environment
from astra.evaluation.agents import Agent, PolicyAgent
from astra.evaluation.episode import Case, EpisodeResult, RolloutEnv
from astra.parallel.pool import pool
from astra.policies.policy import Policy
from astra.progress import progress


def rollout(
    agent: Agent | Policy[Any],
    make_environment: Callable[[], Environment],
    cases: Sequence[Case],
    *,
    num_envs: int = 16,
    workers: int = 1,
    cluster: str | None = None,
    title: str = "",
) -> list[EpisodeResult]:
    """Play every case and return the results in the order of the cases; arguments as of `play`."""
    played = play(agent, make_environment, cases, num_envs=num_envs, workers=workers, cluster=cluster, title=title)
    return [result for _, result in sorted(played, key=lambda pair: pair[0])]


def play(
    agent: Agent | Policy[Any],
    make_environment: Callable[[], Environment],
    cases: Sequence[Case],
    *,
    num_envs: int = 16,
    workers: int = 1,
    cluster: str | None = None,
    title: str = "",
) -> Iterator[tuple[int, EpisodeResult]]:
    """Play every case and yield its index and its result as soon as it ends.

    Args:
        agent: Agent that acts.
        make_environment: Makes one environment.
        cases: Episodes to play.
        num_envs: Number of environments in which one process acts at once.
        workers: Number of processes. With more than one, agent and `make_environment` are sent to each by pickle, and
            each computes on one thread.
        cluster: Ray cluster on which to play instead: auto, or its address; see `astra.parallel.pool`.
        title: Title of the progress; empty: none is shown.

    Raises:
        ValueError: if an action, a reward or a score is not finite, or num_envs or workers are less than one.
    """
    if num_envs < 1 or workers < 1:
        raise ValueError(f"a rollout needs at least one environment and one worker, got {num_envs} and {workers}")
    agent = PolicyAgent(agent) if isinstance(agent, Policy) else agent
    with progress(title, len(cases), "episodes", shown=bool(title)) as advance:
        if workers == 1 and cluster is None:
            yield from _play(agent, make_environment, cases, num_envs, advance)
        else:
            with pool(workers, cluster=cluster, shared=(agent, make_environment)) as tasks:
                starts = range(0, len(cases), num_envs)  # each worker takes `num_envs` cases, then the next ones
                begun = {tasks.submit(_play_together, cases[start : start + num_envs]): start for start in starts}
                for future in as_completed(begun):
                    for index, result in future.result():
                        advance(1)
                        yield begun[future] + index, result


def _play(
    agent: Agent,
    make_environment: Callable[[], Environment],
    cases: Sequence[Case],
    num_envs: int,
    advance: Callable[[float], None],
) -> Iterator[tuple[int, EpisodeResult]]:
    with ExitStack() as stack:
        environments = []
        for _ in range(min(num_envs, len(cases))):
            environments.append(make_environment())
            environments[-1].renders = agent.looks
            stack.callback(environments[-1].close)
        yield from _play_in(environments, agent, cases, advance)


def _play_in(
    environments: Sequence[Environment], agent: Agent, cases: Sequence[Case], advance: Callable[[float], None]
) -> Iterator[tuple[int, EpisodeResult]]:
    queue = iter(enumerate(cases))
    envs = [RolloutEnv(environment, *next(queue)) for environment in environments]
    if envs:
        agent.start(envs)
    while any(env.playing for env in envs):
        resets = np.zeros(len(envs), dtype=bool)
        for row, (env, action) in enumerate(zip(envs, agent.act(envs), strict=True)):
            if not env.playing:
                resets[row] = env.wait()
                continue
            advance(env.step(action))
            if env.playing:
                resets[row] = env.next_instruction()
                continue
            yield env.index, env.result()
            resets[row] = True
            env.timesteps_since_reset = 0
            if following := next(queue, None):
                env.begin(*following)
        if resets.any():
            agent.reset(envs, resets)


def _play_together(
    agent: Agent, make_environment: Callable[[], Environment], cases: Sequence[Case]
) -> list[tuple[int, EpisodeResult]]:
    return list(_play(agent, make_environment, cases, len(cases), lambda share: None))
