"""Comparisons: the paper's tables as data, their runs, and the numbers with intervals."""

from collections.abc import Callable

from astra.comparisons.scaling import scaling
from astra.comparisons.table import Table
from astra.comparisons.table1 import table1
from astra.comparisons.table2 import table2
from astra.comparisons.table3 import table3
from astra.comparisons.table4 import table4
from astra.comparisons.table5 import table5
from astra.comparisons.table6 import table6

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
