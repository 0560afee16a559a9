"""Names on the command line: the list of them, the chosen one, and a suggestion for a misspelled one."""

import difflib
from collections.abc import Collection, Mapping, Sequence

from astra.cli.flags.help import listing, wrap


def choose(arguments: Sequence[str], kind: str, usage: str, notes: Mapping[str, str]) -> str | None:
    """Return the first argument, checked against a list of names; with --help or no argument, print the list.

    Args:
        arguments: arguments of the command.
        kind: kind of thing that is named, such as "experiment".
        usage: the command with its arguments.
        notes: one line about each name.

    Returns:
        The name, or None for --help.

    Raises:
        ValueError: if there is no argument, or no such name.
    """
    if not arguments or arguments[0] in ("-h", "--help", "--help-all"):
        print(f"{wrap(f'usage: {usage}')}\n\n{listing(dict(notes))}")
        if not arguments:
            raise ValueError(f"no {kind} was given: choose one of the list above")
        return None
    if arguments[0] not in notes:
        raise ValueError(f"there is no {kind} {arguments[0]!r}{nearest(arguments[0], notes)}")
    return arguments[0]


def nearest(name: str, names: Collection[str]) -> str:
    """Return a suggestion to end an error message: the most similar name, or the list of all names."""
    similar = difflib.get_close_matches(name, names, n=1)
    return f"; did you mean {similar[0]!r}?" if similar else f"; choose from: {', '.join(names)}"


def first_line(docstring: str | None) -> str:
    """Return the first line of a docstring, the note about a name in such a list."""
    return (docstring or "").strip().partition("\n")[0]
