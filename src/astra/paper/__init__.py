"""The paper's tables as data, the runs that fill them, and their numbers with intervals; and tables of our own."""

from astra.lazy_function import LazyFunction

TABLES = (
    {
        name: LazyFunction(f"{__name__}.{name}", name)
        for name in ("table1", "table2", "table3", "table4", "table5", "table6", "scaling")
    }
    | {"table4-maniskill": LazyFunction(f"{__name__}.table4", "table4_maniskill")}
    | {
        f"history-{name}": LazyFunction(f"{__name__}.claims.history", f"history_{name}")
        for name in ("loss", "pusht", "blinking", "tabletop")
    }
    | {
        f"mask-{name}": LazyFunction(f"{__name__}.claims.mask", f"mask_{name.replace('-', '_')}")
        for name in ("patches", "objects", "objects-deep", "history")
    }
    | {
        f"contrast-{name}": LazyFunction(f"{__name__}.claims.contrast", f"contrast_{name}")
        for name in ("limited", "dynamics")
    }
)
"""Tables by their name on the command line; the module of a table is imported when the table is made."""
