"""Names on the command line and what was probably meant."""

import difflib
from collections.abc import Iterable


def nearest(name: str, names: Iterable[str]) -> str:
    """Suggest the most similar name, or list them all."""
    known = list(names)
    similar = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {similar[0]!r}?" if similar else f"; there are: {', '.join(known)}"
