"""Error messages that name flags as they are typed: `training.batch_size=3` becomes `--training.batch-size=3`."""

import re
import textwrap
from collections.abc import Callable, Collection, Mapping

NAME = re.compile(r"(?<![\w/.$-])[a-z]\w*(?:\.[a-z]\w*)*(?!\w|/|\.\w|\()")
"""A field as Python writes it, alone or with the fields that hold it."""

_of_command: list[Callable[[], Collection[str]]] = []
"""Lists the flags of the command that this process runs, once it has read them."""


def remember_flags(flags: Callable[[], Collection[str]]) -> None:
    """Keep the flags of the command that runs, for the message of an error that may follow."""
    _of_command[:] = [flags]


def name_flags(message: str) -> str:
    """Return a message in which the flags of the command that runs are named as they are typed."""
    return as_typed(message, _of_command[0]()) if _of_command else message


def as_typed(message: str, flags: Collection[str]) -> str:
    """Replace the fields that a message names by the flags that set them.

    Words without a dot, an underscore or a value after `=` are left alone, and so are fields that no flag or several
    flags could mean.

    Args:
        message: message of an error.
        flags: flags of the command.
    """
    fields = {flag.removeprefix("--").replace("-", "_"): flag for flag in flags}

    def replaced(found: re.Match[str]) -> str:
        name, after = found[0], message[found.end() : found.end() + 1]
        if "." not in name and "_" not in name and after != "=":
            return name
        return _flag(name, fields) or name

    return NAME.sub(replaced, message)


def _flag(name: str, fields: Mapping[str, str]) -> str | None:
    """Return the only flag that sets a field, or None."""
    if name in fields:
        return fields[name]
    ends = [flag for field, flag in fields.items() if field.endswith(f".{name}")]
    if len(ends) == 1:
        return ends[0]
    _, dot, last = name.rpartition(".")
    return fields.get(last) if dot and not ends else None


def unboxed(text: str) -> str:
    """Return the paragraphs of a message that tyro printed in a box, without the box and its line breaks."""
    printed = re.sub(r"\x1b\[[0-9;]*m", "", text).strip("\n").splitlines()[1:]  # the first line is the title
    lines: list[str] = []
    previous: int | None = None
    for line in printed:
        inner = line.strip("│╰╯").rstrip()
        if not inner.strip("─- "):
            previous = None
            continue
        indent = len(inner) - len(inner.lstrip())
        flag = re.match(r"\s*--?[a-zA-Z]", inner) is not None
        if previous == indent and not flag:
            lines[-1] += " " + inner.strip()
        else:
            lines.append(inner)
        previous = None if inner.endswith(":") or flag else indent
    return re.sub(r"Error parsing (?!-)[\w.]+: ", "", textwrap.dedent("\n".join(lines)))
