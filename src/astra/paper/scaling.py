"""Appendix A.11 at CPU sizes: Astra's success and loss by the size of its trunk, with the budget of Table 1.

All sizes get the same updates, so larger ones take longer; with `--equal time` all get the same time.
"""

from astra.paper.table import Row, Table
from astra.paper.table1 import LEVELS, cpu

SIZES = (("tiny", 2, 2, 64), ("narrow", 3, 3, 96), ("small", 3, 4, 128), ("wide", 4, 6, 192))
"""Name, layers, heads and width."""


def scaling() -> Table:
    """Return the table of four sizes of Astra; the paper has one size per benchmark."""
    rows = [
        Row(
            name=f"Astra {name}",
            attention="trajectory",
            sees="objects",
            sizes={"cpu": "astra-small"},
            policy_changes={"layers": layers, "heads": heads, "width": width},
            added=True,
        )
        for name, layers, heads, width in SIZES
    ]
    return Table(
        name="scaling",
        title="Astra by size: success (%)",
        columns=LEVELS,
        rows=tuple(rows),
        settings={"cpu": cpu},
        refused="the paper compares no sizes on one benchmark",
    )
