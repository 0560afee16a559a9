"""Comparisons: the paper's tables as data, their runs, and the numbers with intervals."""

from collections.abc import Callable

from astra.paper.scaling import scaling
from astra.paper.table import Table
from astra.paper.table1 import table1
from astra.paper.table2 import table2
from astra.paper.table3 import table3
from astra.paper.table4 import table4
from astra.paper.table5 import table5
from astra.paper.table6 import table6

TABLES: dict[str, Callable[[], Table]] = {
    "table1": table1,
    "table2": table2,
    "table3": table3,
    "table4": table4,
    "table5": table5,
    "table6": table6,
    "scaling": scaling,
}
"""Every table, by its name on the command line."""
