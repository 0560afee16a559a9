"""Values of flags that decide which other flags there are, read before the others."""

from collections.abc import Collection, Sequence


def value_of(flag: str, arguments: Sequence[str], choices: Collection[str] = ()) -> str | None:
    """Return the last value of a flag, or None if it is missing or, with choices, not one of them.

    A wrong value is left to the parser, which explains it.
    """
    found = None
    for argument, value in zip(arguments, [*arguments[1:], ""], strict=True):
        if argument == flag:
            found = value
        elif argument.startswith(f"{flag}="):
            found = argument.removeprefix(f"{flag}=")
    return found if not choices or found in choices else None
