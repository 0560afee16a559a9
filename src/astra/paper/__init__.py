"""The paper's tables as data, the runs that fill them, and their numbers with intervals."""

from astra.lazy_function import LazyFunction

TABLES = {
    name: LazyFunction(f"{__name__}.{name}", name)
    for name in ("table1", "table2", "table3", "table4", "table5", "table6", "scaling")
}
"""Tables by their name on the command line; the module of a table is imported when the table is made."""
