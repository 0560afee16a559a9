"""Notes under a table: what a reader of its numbers needs to know about seeds, intervals and differences."""

from collections.abc import Sequence

from astra.paper.report import Cell, Report
from astra.paper.table import UNTRAINED


def notes_of(report: Report) -> list[str]:
    """Return the notes that a reader of the numbers needs."""
    notes = list(report.table.notes)
    if report.measured:
        notes.append(
            "Intervals are 95 %: bootstrap over training seeds and episodes; for a single seed over its episodes alone "
            "(Wilson for shares). Intervals from three seeds are too short where seeds differ much. Those of losses "
            "are Student's, over training seeds."
        )
        if report.table.questions:
            notes.append(
                "Questions have the wider of the interval above and Student's over seeds, both for differences and for "
                "a row's own number."
            )
    notes += _pairs(report)
    notes += _detectable(report)
    if len(report.machines) > 1:
        notes.append(f"Minutes do not compare, because machines differ: {'; '.join(report.machines)}.")
    if any(row.quoted for row in report.table.rows):
        notes.append("(quoted): the paper took these numbers from other papers.")
    if any(row.added for row in report.table.rows):
        notes.append("(ours): the paper has no such row.")
    return notes


def _pairs(report: Report) -> list[str]:
    """Return notes on differences of fewer seeds than the rows have, and on those of one seed."""
    seeds = {row[0].row.name: _most([cell.seeds for cell in row]) for row in report.cells}
    one, alone, fewer, controls = list[Cell](), dict[int, list[Cell]](), dict[str, list[Cell]](), list[Cell]()
    pairs = [max(row, key=lambda cell: len(cell.paired)) for row in report.cells]
    pairs = [cell for cell in pairs if cell.paired]
    for cell in pairs:
        mine, theirs = seeds[cell.row.name], seeds[cell.baseline]
        if len(cell.paired) == 1:
            same = mine == theirs == cell.paired
            (one if same else alone.setdefault(cell.paired[0], [])).append(cell)
        elif cell.row.agent in UNTRAINED:
            controls += [] if mine == cell.paired else [cell]
        elif {*mine, *theirs} != {*cell.paired}:
            fewer.setdefault(", ".join(map(str, cell.paired)), []).append(cell)
    notes = [
        f"Differences of seed {seed} alone: {_names(cells)}. They compare the runs of that seed of both rows, not the "
        "means above, and cover episodes alone, not another training."
        for seed, cells in alone.items()
    ]
    if one:
        names = "All differences" if len(one) == len(pairs) else f"Differences of {_names(one)}"
        notes.append(f"{names} are of one training seed, and cover episodes alone, not another training.")
    notes += [
        f"Differences of the seeds {both} alone, which both rows have, and not of the means above: {_names(cells)}."
        for both, cells in fewer.items()
    ]
    if controls:
        notes.append(
            f"{_names(controls)}: the same with every training, so one run is compared with all seeds of the other row."
        )
    return notes


def _most(seeds: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    return max(seeds, key=len)


def _names(cells: Sequence[Cell]) -> str:
    return "; ".join(cell.row.name for cell in cells)


def _detectable(report: Report) -> list[str]:
    """Return a note on the differences that the table's seeds and episodes could have shown."""
    columns = []
    for place, column in enumerate(report.table.columns):
        sizes = [row[place].detectable for row in report.cells]
        known = sorted(size for size in sizes if size is not None)
        if known:
            digits = column.digits if column.digits > 1 else 0
            ends = dict.fromkeys(f"{size:.{digits}f}" for size in (known[0], known[-1]))
            columns.append(f"{column.name} {' to '.join(ends)}")
    if not columns:
        return []
    return [
        f"Smallest difference that the intervals above show four times out of five, by row of two seeds or more: "
        f"{'; '.join(columns)}. A row whose interval contains 0 may still differ by less than that."
    ]
