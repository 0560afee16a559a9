"""A report as a picture: a panel per column, a bar per row with its interval, a dot per training seed."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from astra.evaluation.pictures.style import BLUE, GRAY, INK, ORANGE, new_figure, tidy
from astra.paper.report import Cell, Report


def result_bars(report: Report) -> Figure:
    """Draw our numbers; where the paper has one for the row, it is a hollow diamond.

    Raises:
        ValueError: if there are no numbers of ours.
    """
    rows = [row for row in report.cells if any(cell.ours for cell in row)]
    columns = [place for place in range(len(report.table.columns)) if any(row[place].ours for row in rows)]
    if not columns:
        raise ValueError(f"{report.folder} holds no finished run: there is nothing to draw")
    figure = new_figure(1.6 + 2.6 * len(columns), 1.1 + 0.4 * len(rows))
    panels = figure.subplots(1, len(columns), squeeze=False, sharey=True).flat
    for axes, place in zip(panels, columns, strict=True):
        tidy(axes, report.table.columns[place].name)
        axes.grid(axis="y", visible=False)
        axes.set_xlabel("%", fontsize=8, color=INK)
        for height, row in enumerate(reversed(rows)):
            _draw(axes, height, row[place])
        axes.set_yticks(range(len(rows)), [row[0].row.name for row in reversed(rows)])
        axes.tick_params(axis="y", length=0)
        axes.set_xlim(0, 108)
    marks = [
        Line2D([], [], color=INK, marker="|", linewidth=1.2, markersize=6, label="95 % interval"),
        Line2D([], [], color=INK, marker=".", linestyle="", markersize=6, label="one training seed"),
        Line2D([], [], color=GRAY, marker="D", linestyle="", markersize=5, mfc="none", label=_paper(report)),
    ]
    figure.legend(handles=marks, loc="outside lower center", ncols=3, fontsize=8, frameon=False)
    figure.suptitle(f"{report.table.title}, {report.scale} scale", fontsize=10, color=INK)
    return figure


def _paper(report: Report) -> str:
    return f"the paper's, {report.table.paper_world or 'none'}"


def _draw(axes: Axes, height: int, cell: Cell) -> None:
    if cell.paper is not None:
        axes.plot(cell.paper, height, color=GRAY, marker="D", markersize=5, mfc="none", zorder=3)
    if cell.ours is None:
        return
    color = BLUE if cell.row.name.startswith("Astra") else ORANGE
    axes.barh(height, cell.ours.value, height=0.62, color=color, alpha=0.75)
    axes.plot([cell.ours.low, cell.ours.high], [height] * 2, color=INK, linewidth=1.2, marker="|", markersize=7)
    axes.plot(cell.by_seed, [height - 0.2] * len(cell.by_seed), color=INK, marker=".", linestyle="", markersize=4)
