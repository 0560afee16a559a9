"""Comparisons: the paper's tables as data, their runs, and the numbers with intervals."""

from astra.lazy_function import LazyFunction

TABLES = {
    name: LazyFunction(f"{__name__}.{name}", name)
    for name in ("table1", "table2", "table3", "table4", "table5", "table6", "scaling")
}
"""Every table, by its name on the command line. Its module is imported when the table is made."""
