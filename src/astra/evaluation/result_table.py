"""Result tables for the terminal."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from rich.box import SIMPLE_HEAD
from rich.console import Console, ConsoleOptions
from rich.measure import Measurement
from rich.table import Table

from astra.evaluation.episode import EpisodeResult
from astra.evaluation.success import Summary, wilson_interval

ALL = "all tasks"
UNLIMITED = 10_000
"""Width of a screen in characters on which every table fits."""


@dataclass(frozen=True)
class ResultTable:
    """Each agent's episodes, mean scores and success rate, with intervals.

    One row per agent where the screen is wide enough for it, otherwise one row per number.
    """

    summaries: Mapping[str, Summary]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Table]:
        """Yield the table in the form that fits."""
        wide = self._wide()
        width = Measurement.get(console, options.update(width=UNLIMITED), wide).maximum
        yield wide if width <= options.max_width else self._long()

    def _wide(self) -> Table:
        scores = list(dict.fromkeys(name for summary in self.summaries.values() for name in summary.scores))
        table = _table("agent", "episodes", *scores, "success")
        for agent, summary in self.summaries.items():
            means = [str(summary.scores[name]) if name in summary.scores else "" for name in scores]
            table.add_row(agent, str(summary.episodes), *means, str(summary.success))
        return table

    def _long(self) -> Table:
        table = _table("agent", "episodes", "score", "mean")
        for agent, summary in self.summaries.items():
            first = agent, str(summary.episodes)
            for name, value in {**summary.scores, "success": summary.success}.items():
                table.add_row(*first, name, str(value))
                first = "", ""
            table.add_section()
        return table


def recovery_lines(summaries: Mapping[str, Summary]) -> list[str]:
    """Return a line about each agent: its attempts, and how often it succeeded after an action that missed."""
    lines = []
    for agent, summary in summaries.items():
        of, between = f"{summary.missed} of {summary.episodes} episodes", summary.between_attempts
        if summary.attempts is not None:
            succeeded = "" if summary.recovery is None else f", success after that {summary.recovery}"
            apart = f"{between.value:.1f} [{between.low:.1f}, {between.high:.1f}]" if between else "none"
            lines.append(
                f"{agent}: attempts per episode {summary.attempts}; the first failed in {of}{succeeded}; timesteps "
                f"between attempts {apart}"
            )
        elif summary.recovery is not None:
            lines.append(f"{agent}: success after a miss {summary.recovery}, {of}")
    return lines


def group_table(results: Mapping[str, Sequence[EpisodeResult]]) -> Table | None:
    """Return a table with one row per group and task and one column per agent, or None if there are no groups.

    A group of several tasks has a further row for all of them.
    """
    cells: dict[tuple[str, str], dict[str, list[bool]]] = {}
    for agent, episodes in results.items():
        for episode in episodes:
            for task in (episode.task, ALL) if episode.group else ():
                cells.setdefault((episode.group, task), {}).setdefault(agent, []).append(episode.success)
    if not cells:
        return None
    sizes = Counter(group for group, _ in cells)
    cells = {cell: agents for cell, agents in cells.items() if cell[1] != ALL or sizes[cell[0]] > 2}
    table = _table("group", "task")
    for agent in results:  # an interval may wrap, and loses no digit
        table.add_column(agent, min_width=max(len("[0.00,"), len(agent)))
    for group, task in sorted(cells, key=lambda cell: (cell[0], cell[1] == ALL, cell[1])):
        rates = [wilson_interval(sum(won), len(won)) for won in cells[group, task].values()]
        table.add_row(group, task, *map(str, rates))
    return table


def _table(*headings: str) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    for heading in headings:
        table.add_column(heading, no_wrap=True)
    return table


def result_line(score: str, policy: Summary, no_op: Summary, expert: Summary) -> str:
    """Return the last line of a run: the mean of one score of the policy, the no-op baseline and the expert."""
    return f"RESULT score={policy.scores[score]} no-op={no_op.scores[score]} expert={expert.scores[score]}"
