"""Appendix A.11 at CPU sizes: Astra's success and loss over the size of its trunk, under the budget of Table 1.

All sizes get the same updates, so a larger one gets more time; with `--equal time` all get the same time.
"""

from astra.paper.table import Row, Table
from astra.paper.table1 import LEVELS, cpu

SIZES = (("tiny", 2, 2, 64), ("narrow", 3, 3, 96), ("small", 3, 4, 128), ("wide", 4, 6, 192))
"""Name, layers, heads and width."""


def scaling() -> Table:
    """Four sizes of Astra; the paper has sizes for benchmarks, not several on one."""
    rows = [
        Row(
            name=f"Astra {name}",
            attention="trajectory",
            sees="objects",
            sizes={"cpu": "astra-small"},
            changes={"layers": layers, "heads": heads, "width": width},
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
