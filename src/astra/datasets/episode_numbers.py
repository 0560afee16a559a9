"""Numbers of episodes on the command line: `3 17 100-250`."""

import re
from collections.abc import Iterator, Sequence
from itertools import groupby

LARGEST = 1_000_000
"""Number above which none is accepted, which guards against a mistyped range."""


def parse_episodes(words: Sequence[str]) -> tuple[int, ...]:
    """Return the numbers in words such as `3`, or `100-250`, whose ends are included.

    Raises:
        ValueError: if a word is neither, a range ends before it starts, or a number is above a million.
    """
    numbers: list[int] = []
    for word in words:
        match = re.fullmatch(r"([0-9]+)(?:-([0-9]+))?", word)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if not first <= last <= LARGEST:
            raise ValueError(
                f"got --leave-out {word}, expected numbers of at most {LARGEST:,}, such as 3, or ranges from a smaller "
                "to a larger one, such as 100-250"
            )
        numbers.extend(range(first, last + 1))
    return tuple(numbers)


def format_episodes(numbers: Sequence[int]) -> str:
    """Return sorted numbers as words that `parse_episodes` reads, three or more in a row as a range."""
    return " ".join(_words(numbers))


def _words(numbers: Sequence[int]) -> Iterator[str]:
    for _, group in groupby(enumerate(numbers), key=lambda item: item[1] - item[0]):
        row = [number for _, number in group]
        if len(row) > 2:
            yield f"{row[0]}-{row[-1]}"
        else:
            yield from map(str, row)
