"""The console on which Astra prints tables: text is printed as it is, whatever brackets or colons its names have."""

from rich.console import Console


def screen(*, stderr: bool = False, quiet: bool = False) -> Console:
    """Return a console without markup, emoji codes and highlighting; styled text is a `rich.text.Text`.

    Args:
        stderr: print on standard error.
        quiet: print nothing.
    """
    return Console(stderr=stderr, quiet=quiet, markup=False, emoji=False, highlight=False)
