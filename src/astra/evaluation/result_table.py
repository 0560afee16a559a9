"""Result tables for the terminal."""

from collections import Counter
from collections.abc import Mapping, Sequence

from rich.box import SIMPLE_HEAD
from rich.table import Table

from astra.evaluation.episode import EpisodeResult
from astra.evaluation.success import Summary, wilson_interval

ALL = "all tasks"


def result_table(summaries: Mapping[str, Summary]) -> Table:
    """Return a table with one row per agent: episodes, mean of each score and success rate, with intervals."""
    scores = list(dict.fromkeys(name for summary in summaries.values() for name in summary.scores))
    table = Table(box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    for heading in ("agent", "episodes", *scores, "success"):
        table.add_column(heading, no_wrap=True)
    for agent, summary in summaries.items():
        means = [str(summary.scores[name]) if name in summary.scores else "" for name in scores]
        table.add_row(agent, str(summary.episodes), *means, str(summary.success))
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
    table = Table(box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    for heading in ("group", "task", *results):
        table.add_column(heading, no_wrap=heading not in results)
    for group, task in sorted(cells, key=lambda cell: (cell[0], cell[1] == ALL, cell[1])):
        rates = [wilson_interval(sum(won), len(won)) for won in cells[group, task].values()]
        table.add_row(group, task, *map(str, rates))
    return table


def result_line(score: str, policy: Summary, no_op: Summary, expert: Summary) -> str:
    """Return the last line of a run: the mean of one score of the policy, the no-op baseline and the expert."""
    return f"RESULT score={policy.scores[score]} no-op={no_op.scores[score]} expert={expert.scores[score]}"
