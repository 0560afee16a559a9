"""Error messages that name flags as they are typed: `training.batch_size=3` becomes `--training.batch-size=3`."""

import re
import textwrap
from collections.abc import Callable, Collection, Mapping

NAME = re.compile(r"(?<![\w/.$-])[a-z]\w*(?:\.[a-z]\w*)*(?!\w|/|\.\w|\()")
"""A field as Python writes it, alone or with the fields that hold it."""
FLAG = re.compile(r"(?<![\w.-])--[a-z][\w.-]*\b")
"""A flag, as a configuration names it that does not know which other one holds it."""

_of_command: list[tuple[Callable[[], Collection[str]], frozenset[str]]] = []
"""Lists the flags of the command that this process runs, once it has read them, and has those that were typed."""


def remember_flags(flags: Callable[[], Collection[str]], arguments: Collection[str]) -> None:
    """Keep the flags of the command that runs and its arguments, for the message of an error that may follow."""
    typed = {argument.partition("=")[0].replace("_", "-") for argument in arguments if argument.startswith("--")}
    _of_command[:] = [(flags, frozenset(typed))]


def name_flags(message: str) -> str:
    """Return a message in which the flags of the command that runs are named as they are typed."""
    if not _of_command:
        return message
    flags, typed = _of_command[0]
    return as_typed(message, flags(), typed)


def as_typed(message: str, flags: Collection[str], typed: Collection[str] = ()) -> str:
    """Replace the fields that a message names by the flags that set them.

    Words without a dot, an underscore or a value after `=` are left alone, and so are fields that no flag or several
    flags could mean.

    Args:
        message: message of an error.
        flags: flags of the command.
        typed: those that were typed: of several flags that could be meant, the only one that was typed is.
    """
    fields = {flag.removeprefix("--").replace("-", "_"): flag for flag in flags}

    def replaced(found: re.Match[str]) -> str:
        name, after = found[0], message[found.end() : found.end() + 1]
        if "." not in name and "_" not in name and after != "=":
            return name
        return _flag(name, fields, typed) or name

    def completed(found: re.Match[str]) -> str:
        flag = found[0]
        return flag if flag in flags else _flag(flag[2:].replace("-", "_"), fields, typed) or flag

    return FLAG.sub(completed, NAME.sub(replaced, message))


def _flag(name: str, fields: Mapping[str, str], typed: Collection[str]) -> str | None:
    """Return the only flag that sets a field, or None."""
    if name in fields:
        return fields[name]
    ends = [flag for field, flag in fields.items() if field.endswith(f".{name}")]
    for candidates in (ends, [flag for flag in ends if flag in typed]):
        if len(candidates) == 1:
            return candidates[0]
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
