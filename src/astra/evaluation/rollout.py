"""Episodes of an agent in an environment: `slots` of them are stepped together and asked of the agent in one call.

A slot whose episode has ended takes the next case at once, so that the batch stays full until the cases run out.
An episode's result depends on its case alone, not on its neighbours (up to the rounding of batched arithmetic).
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import as_completed
from contextlib import ExitStack
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from astra.environments.environment import Environment
from astra.evaluation.agents import Agent, PolicyAgent
from astra.evaluation.episode import Case, EpisodeResult, Slot
from astra.parallel.pool import pool
from astra.policies.policy import Policy


def rollout(
    agent: Agent | Policy[Any],
    make_environment: Callable[[], Environment],
    cases: Sequence[Case],
    *,
    slots: int = 16,
    workers: int = 1,
    cluster: str | None = None,
    title: str = "",
) -> list[EpisodeResult]:
    """Play every case and return the results in the order of the cases; arguments as of `play`."""
    played = play(agent, make_environment, cases, slots=slots, workers=workers, cluster=cluster, title=title)
    return [result for _, result in sorted(played, key=lambda pair: pair[0])]


def play(
    agent: Agent | Policy[Any],
    make_environment: Callable[[], Environment],
    cases: Sequence[Case],
    *,
    slots: int = 16,
    workers: int = 1,
    cluster: str | None = None,
    title: str = "",
) -> Iterator[tuple[int, EpisodeResult]]:
    """Play every case and yield its index and result as it ends.

    Args:
        agent: Who acts.
        make_environment: Makes one environment; called once per slot.
        cases: The episodes.
        slots: Number of episodes that one process plays together.
        workers: Number of processes; with more than one, agent and `make_environment` are sent to each by pickle,
            and each computes on one thread.
        cluster: Plays on a Ray cluster instead: auto, or its address; see `astra.parallel.pool`.
        title: Shown before a progress bar with the time left, on terminals; empty: no bar.

    Raises:
        ValueError: if the agent returns an action that is not finite, or slots or workers are less than one.
    """
    if slots < 1 or workers < 1:
        raise ValueError(f"a rollout needs at least one slot and one worker, got {slots} and {workers}")
    agent = PolicyAgent(agent) if isinstance(agent, Policy) else agent
    console = Console()
    with Progress(
        TextColumn(title),
        BarColumn(),
        TextColumn("{task.percentage:.0f} % of {task.total} episodes"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=console,
        disable=not (title and console.is_terminal),
        transient=True,
    ) as progress:
        bar = progress.add_task(title, total=len(cases))
        if workers == 1 and cluster is None:
            yield from _play(agent, make_environment, cases, slots, lambda share: progress.advance(bar, share))
        else:
            with pool(workers, cluster=cluster, shared=(agent, make_environment)) as tasks:
                starts = range(0, len(cases), slots)  # each worker takes `slots` cases, then the next `slots` cases
                begun = {tasks.submit(_play_together, cases[start : start + slots]): start for start in starts}
                for future in as_completed(begun):
                    for index, result in future.result():
                        progress.advance(bar)
                        yield begun[future] + index, result


def _play(
    agent: Agent,
    make_environment: Callable[[], Environment],
    cases: Sequence[Case],
    num_slots: int,
    advance: Callable[[float], None],
) -> Iterator[tuple[int, EpisodeResult]]:
    with ExitStack() as stack:
        environments = []
        for _ in range(min(num_slots, len(cases))):
            environments.append(make_environment())
            stack.callback(environments[-1].close)
        yield from _play_in(environments, agent, cases, advance)


def _play_in(
    environments: Sequence[Environment], agent: Agent, cases: Sequence[Case], advance: Callable[[float], None]
) -> Iterator[tuple[int, EpisodeResult]]:
    queue = iter(enumerate(cases))
    slots = [Slot(environment, *next(queue)) for environment in environments]
    if slots:
        agent.start(slots)
    while any(slot.playing for slot in slots):
        begun = np.zeros(len(slots), dtype=bool)
        for number, (slot, action) in enumerate(zip(slots, agent.act(slots), strict=True)):
            if not slot.playing:
                begun[number] = slot.wait()
                continue
            advance(slot.step(action))
            if slot.playing:
                continue
            yield slot.index, slot.result()
            begun[number] = True
            slot.clock = 0
            if following := next(queue, None):
                slot.begin(*following)
        if begun.any():
            agent.restart(slots, begun)


def _play_together(
    agent: Agent, make_environment: Callable[[], Environment], cases: Sequence[Case]
) -> list[tuple[int, EpisodeResult]]:
    return list(_play(agent, make_environment, cases, len(cases), lambda share: None))
