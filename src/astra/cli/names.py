"""Names on the command line: the one that was chosen, and what a wrong one probably meant."""

import difflib
from collections.abc import Collection, Mapping, Sequence


def choose(arguments: Sequence[str], kind: str, usage: str, notes: Mapping[str, str]) -> str | None:
    """Take the first argument as one of the names; without any, print the usage and the list.

    Args:
        arguments: of the command.
        kind: what the names are names of, such as "experiment".
        usage: the command with its arguments.
        notes: one line about each name.

    Returns:
        The name, or None where the list was asked for with an option such as --help.

    Raises:
        ValueError: if nothing is chosen, or there is no such name.
    """
    if not arguments or arguments[0].startswith("-"):
        wide = max(map(len, notes)) + 2
        print(f"usage: {usage}\n\n" + "\n".join(f"  {name:{wide}}{note}" for name, note in notes.items()))
        if not arguments:
            raise ValueError(f"say what {kind}")
        return None
    if arguments[0] not in notes:
        raise ValueError(f"there is no {kind} {arguments[0]!r}{nearest(arguments[0], notes)}")
    return arguments[0]


def nearest(name: str, names: Collection[str]) -> str:
    """Suggest the most similar name, or list them all."""
    similar = difflib.get_close_matches(name, names, n=1)
    return f"; did you mean {similar[0]!r}?" if similar else f"; there are: {', '.join(names)}"


def first_line(documented: object) -> str:
    """Give the first line of a function's docstring, its note in such a list."""
    return (documented.__doc__ or "").strip().splitlines()[0]
