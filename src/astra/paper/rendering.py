"""A report as text: for the terminal, as Markdown and as CSV.

The parts have the same rows and columns: our numbers, differences, the paper's numbers. Every number of ours has its
interval and the number of its training seeds.
"""

import csv
import io
import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.table import Table as RichTable
from rich.text import Text

from astra.evaluation.statistics import wider
from astra.evaluation.success import Estimate
from astra.paper.notes import notes_of
from astra.paper.report import Cell, Report
from astra.paper.table import trunk_size
from astra.screen import screen
from astra.storage.atomic import write_atomic

_ABOUT = ("table", "scale", "row", "column", "seeds", "episodes")


@dataclass(frozen=True, kw_only=True)
class Part:
    """Part of a report: rows and columns of text under a title."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    names: int = 0
    """Number of columns that name a row. The others are numbers, of which a narrow screen shows a few at a time. 0: all
    columns stay together."""


def parts_of(report: Report) -> list[Part]:
    """Return the parts of a report, without parts and columns that have no number."""
    table, parts = report.table, list[Part]()
    measured = [place for place in range(len(table.columns)) if any(row[place].ours for row in report.cells)]
    if measured:
        header = ("policy", "seeds", *(table.columns[place].name for place in measured))
        ours = [
            (_name(row[0]), _seeds(row, measured) or report.why_empty(row[0].row), *(_ours(row[p]) for p in measured))
            for row in report.cells
        ]
        first = min((cell for row in report.cells for cell in row if cell.ours), key=lambda each: each.column.held_out)
        environment = report.scale
        if report.scale in table.settings:
            environment = table.settings[report.scale]().environment
        kind = "held-out episodes" if first.column.held_out else "episodes"
        title = f"Ours, {report.scale} scale: {environment}, {first.episodes} {kind} in {first.column.name}"
        parts.append(Part(title=title, header=header, rows=tuple(ours), names=2))
        differences = [
            (
                _name(row[0]),
                row[0].baseline,
                _paired(row, measured),
                *(_points(row[place]) for place in measured),
            )
            for row in report.cells
            if any(row[place].difference for place in measured)
        ]
        if differences:
            counted = {"losses in nats": any(c.held_out for c in table.columns)}
            counted["numbers as they are"] = any(c.scale != 100 for c in table.columns if not c.held_out)
            unit = ", ".join(("percentage points", *(words for words, present in counted.items() if present)))
            title = f"Differences in {unit}, paired by training seed and episode"
            names = tuple(table.columns[place].name for place in measured)
            parts.append(
                Part(title=title, header=("policy", "minus", "seeds", *names), rows=tuple(differences), names=3)
            )
        if decided := decisions(report):
            header = ("question", "number", "measured", "yes if", "smallest detectable difference", "answer")
            parts.append(Part(title="Questions that this table decides", header=header, rows=tuple(decided)))
        parts.append(_trainings(report))
        if losses := _loss_differences(report):
            parts.append(losses)
    printed = [row for row in report.cells if any(cell.paper is not None for cell in row)]
    if printed:
        places = [place for place in range(len(table.columns)) if any(row[place].paper is not None for row in printed)]
        rows = [(_name(row[0]), row[0].row.attention, *(_number(row[p].paper) for p in places)) for row in printed]
        header = ("policy", "attention", *(table.columns[place].name for place in places))
        parts.append(Part(title=f"The paper: {table.paper_environment}", header=header, rows=tuple(rows), names=2))
    return parts


def decisions(report: Report) -> list[tuple[str, ...]]:
    """Return a line for every question of the table: its number, what was measured, the bound, and the answer.

    The bootstrap over two or three training seeds is too narrow for a decision, and where they happen to be equal
    Student's interval is. So the wider of the two decides, for differences and for a row's own number.
    """
    cells = {(cell.row.key, cell.column.name): cell for row in report.cells for cell in row}
    lines, answers = [], dict[str, str]()
    for question in report.table.questions:
        cell = _cautious(cells[question.row, question.column])
        found = cell.difference if question.difference else cell.ours
        number = f"{cell.row.name}, {cell.column.name}"
        if question.difference:
            number = f"{cell.row.name} minus {cell.baseline}, {cell.column.name}"
        measured = _points(cell) if question.difference else _ours(cell)
        detectable = cell.detectable if question.difference else None
        shown = "" if detectable is None else f"{detectable:.{cell.column.digits}f}"
        seeds = len(cell.paired) if question.difference else len(cell.seeds)
        answer = "" if found is None else question.answer(found, seeds, equal=cell.equal)
        if answer and question.given and not answers[question.given].startswith("yes"):
            answer = f"not decided without a yes to: {question.given}"
        answers[question.text] = answer
        lines.append((question.text, number, measured or "not run yet", question.wanted, shown, answer))
    return lines


def _cautious(cell: Cell) -> Cell:
    """Return a cell whose number and difference have the wider one of their intervals and those over seeds."""
    if cell.ours and cell.ours_over_seeds:
        ours = wider(cell.ours, cell.ours_over_seeds)
        if cell.column.share:
            ours = replace(ours, low=max(ours.low, 0.0), high=min(ours.high, 100.0))
        cell = replace(cell, ours=ours)
    if cell.difference and cell.over_seeds:
        sizes = [size for size in (cell.detectable, cell.over_seeds.detectable) if size is not None]
        difference = wider(cell.difference, cell.over_seeds.estimate)
        cell = replace(cell, difference=difference, detectable=max(sizes, default=None))
    return cell


def print_report(report: Report) -> None:
    """Print a report on the terminal."""
    console = screen()
    console.print(Text.assemble((report.table.name, "bold"), f"  {report.table.title}\n"))
    for part in parts_of(report):
        print_part(part)
    for note in notes_of(report):
        console.print(note)


def print_part(part: Part) -> None:
    """Print a part, the columns of numbers below one another where the screen is too narrow for all of them."""
    console = screen()
    title: str | None = part.title
    for columns in _that_fit(part, console.width):
        shown = RichTable(box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True, title=title, title_justify="left")
        narrow = part.names > 0 and sum(_whole_width(part, place) + 3 for place in columns) > console.width
        for place in columns:
            shown.add_column(part.header[place], width=_width(part, place) if narrow else None)
        for row in part.rows:
            shown.add_row(*(row[place] for place in columns))
        console.print(shown)
        title = None


def _that_fit(part: Part, width: int) -> list[list[int]]:
    """Split the columns of numbers into groups that fit on a screen of this width, each behind the columns of names."""
    names = list(range(part.names or len(part.header)))
    room = width - sum(_width(part, place) + 3 for place in names)
    groups, left = [list(names)], room
    for place in range(len(names), len(part.header)):
        needed = _width(part, place) + 3
        if needed > left and groups[-1] != names:
            groups.append(list(names))
            left = room
        groups[-1].append(place)
        left -= needed
    return groups


def _width(part: Part, place: int) -> int:
    """Return the width below which a column would cut words; an interval is cut after its comma."""
    return max(
        len(word) for text in (part.header[place], *(row[place] for row in part.rows)) for word in text.split() or [""]
    )


def _whole_width(part: Part, place: int) -> int:
    """Return the width of a column whose texts are not wrapped."""
    return max(map(len, (part.header[place], *(row[place] for row in part.rows))))


def markdown(report: Report, command: str) -> str:
    """Return a report as Markdown, with the commands that made it."""
    lines = [f"# {report.table.name}, {report.scale} scale: {report.table.title}", "", "```bash", command, "```", ""]
    for part in parts_of(report):
        lines += [f"## {part.title}", "", _line(part.header), _line("---" for _ in part.header)]
        lines += [*map(_line, part.rows), ""]
    return "\n".join([*lines, *(f"- {note}" for note in notes_of(report))]) + "\n"


def as_csv(report: Report) -> str:
    """Return a report as CSV, one line for every row and column."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    numbers = ("value", "low", "high")
    differences = (*(f"difference_{number}" for number in numbers), "detectable")
    writer.writerow([*_ABOUT, *numbers, "baseline", "paired_seeds", *differences, "paper", "quoted", "ours_only"])
    for row in report.cells:
        for cell in row:
            about = report.table.name, report.scale, cell.row.name, cell.column.name, len(cell.seeds), cell.episodes
            paper = "" if cell.paper is None else cell.paper
            ours, difference = _three(cell.ours), _three(cell.difference)
            detectable = "" if cell.detectable is None else f"{cell.detectable:.4f}"
            compared = cell.baseline, len(cell.paired), *difference, detectable
            writer.writerow([*about, *ours, *compared, paper, cell.row.quoted, cell.row.added])
    return file.getvalue()


def write_texts(report: Report, command: str) -> list[Path]:
    """Write table.md and table.csv into the report's folder."""
    return [
        write_atomic(report.folder / "table.md", markdown(report, command).encode()),
        write_atomic(report.folder / "table.csv", as_csv(report).encode()),
    ]


def _trainings(report: Report) -> Part:
    rows = []
    for row, training in zip(report.table.rows, report.trainings, strict=True):
        if training is None:
            continue
        size = trunk_size(report.table, row, report.scale)
        loss, accuracy = training.held_out_loss, 100 * training.held_out_accuracy
        trunk = "" if size is None else f"{size:,}"
        right = "" if math.isnan(accuracy) else f"{accuracy:.1f}"
        seeds = str(len(training.losses))
        rows.append((row.name, seeds, trunk, f"{training.minutes:.1f}", f"{loss:.{_digits(loss)}f}", right))
    header = (
        "policy",
        "seeds",
        "trunk parameters",
        "minutes per run (median)",
        "held-out loss",
        "held-out accuracy (%)",
    )
    return Part(title="End of training, means over seeds", header=header, rows=tuple(rows))


def _loss_differences(report: Report) -> Part | None:
    rows = []
    for row, training in zip(report.table.rows, report.trainings, strict=True):
        difference, baseline = report.loss_difference(row), report.table.baseline_of(row, report.scale)
        if difference is None or baseline is None or training is None or math.isnan(difference.estimate.value):
            continue
        digits = _digits(training.held_out_loss)
        shown = _interval(difference.estimate, f"+z.{digits}f")
        detectable = "" if difference.detectable is None else f"{difference.detectable:.{digits}f}"
        rows.append((row.name, baseline.name, str(difference.seeds), shown, detectable))
    header = ("policy", "minus", "seeds", "held-out loss", "detectable")
    title = "Differences in held-out loss, paired by training seed"
    return Part(title=title, header=header, rows=tuple(rows)) if rows else None


def _digits(loss: float) -> int:
    """Return the number of decimals of a loss: three, or as many as show three digits of a small one."""
    return max(3, 2 - math.floor(math.log10(loss))) if loss > 0 else 3


def _name(cell: Cell) -> str:
    return cell.row.name + (" (quoted)" if cell.row.quoted else "") + (" (ours)" if cell.row.added else "")


def _seeds(row: tuple[Cell, ...], measured: list[int]) -> str:
    return str(max(len(row[place].seeds) for place in measured) or "")


def _paired(row: tuple[Cell, ...], measured: list[int]) -> str:
    return str(max(len(row[place].paired) for place in measured))


def _ours(cell: Cell) -> str:
    if cell.ours is None:
        return ""
    shown = _interval(cell.ours, f"z.{cell.column.digits}f")
    if cell.column.of_some_episodes:
        shown += f" ({cell.episodes} episodes, {len(cell.seeds)} seed{'s' if len(cell.seeds) > 1 else ''})"
    return shown


def _points(cell: Cell) -> str:
    return "" if cell.difference is None else _interval(cell.difference, f"+z.{cell.column.digits}f")


def _interval(estimate: Estimate, form: str) -> str:
    """Write an estimate; the form has a z, which takes the sign off a rounded 0."""
    return f"{estimate.value:{form}} [{estimate.low:{form}}, {estimate.high:{form}}]"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:g}" if value == round(value) else f"{value:.2f}"


def _three(estimate: Estimate | None) -> tuple[str, str, str]:
    if estimate is None:
        return "", "", ""
    return f"{estimate.value:.4f}", f"{estimate.low:.4f}", f"{estimate.high:.4f}"


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
