"""Help of a command as plain text that fits the terminal, at most 80 columns."""

import re
import shutil
import textwrap
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

WIDTH = 80
"""Most columns of a help text."""
COLUMN = 26
"""Column where descriptions begin."""


@dataclass(frozen=True, kw_only=True)
class Flag:
    """One line of the help: a flag, or an argument that is given by position."""

    group: str
    """Heading above it."""
    names: tuple[str, ...]
    """Names as they are typed; empty for an argument by position."""
    value: str
    """Placeholder of the value; empty for a switch."""
    note: str
    """Description with the default."""
    required: bool
    """Whether the command needs it."""


def width() -> int:
    """Return the number of columns of help texts."""
    return max(40, min(WIDTH, shutil.get_terminal_size().columns))


def wrap(text: str, *, indent: int = 0) -> str:
    """Wrap a paragraph to the width of help texts, each line indented."""
    return textwrap.fill(
        text, width(), initial_indent=" " * indent, subsequent_indent=" " * indent, break_on_hyphens=False
    )


def listing(notes: dict[str, str]) -> str:
    """Return a list of names with a note on each, wrapped."""
    column = min(max(map(len, notes)) + 4, COLUMN)
    return "\n".join(_entry(name, note, column) for name, note in notes.items())


def flags_of(parser: Any) -> list[Flag]:
    """Return all flags and arguments of a parser of tyro, in the order of their definition.

    tyro has its own copy of argparse, so the parser is not an `argparse.ArgumentParser`.
    """
    return [
        _flag(group.title or "", action)
        for group in parser._action_groups
        for action in group._group_actions
        if action.dest != "help"
    ]


def help_text(command: str, description: str, flags: Collection[Flag], *, common: Collection[str] = ()) -> str:
    """Return the help of a command.

    Args:
        command: command as typed.
        description: purpose of the command.
        flags: flags and arguments of the command.
        common: names of the flags to show; empty: all.
    """
    arguments = [flag for flag in flags if not flag.names]
    shown = [flag for flag in flags if flag.names and (not common or set(common) & set(flag.names))]
    usage = [f"usage: {command}", *(flag.value for flag in arguments)]
    usage += [f"{flag.names[0]} {flag.value}" for flag in shown if flag.required]
    lines = textwrap.wrap(
        " ".join([*usage, "[--flag value ...]"]), width(), subsequent_indent=" " * 7, break_on_hyphens=False
    )
    paragraphs = [" ".join(part.split()) for part in description.split("\n\n") if part.strip()]
    lines += [line for part in paragraphs for line in ("", *wrap(part).splitlines())]
    heading = None
    for flag in [*arguments, *shown]:
        if flag.group != heading:
            heading = flag.group
            lines += ["", f"{heading}:"]
        lines += [_entry(_invocation(flag), flag.note, COLUMN)]
    if common:
        lines += ["", wrap(f"`{command} --help-all` lists all {sum(bool(flag.names) for flag in flags)} flags.")]
    return "\n".join(lines)


def _entry(name: str, note: str, column: int) -> str:
    """Return a name with its note beside it, or below it where the name is long."""
    body = wrap(" ".join(note.split()), indent=column).splitlines()
    if len(name) + 4 > column:
        return "\n".join([textwrap.indent(name, "  "), *body])
    return "\n".join([f"  {name:{column - 2}}{body[0].strip() if body else ''}".rstrip(), *body[1:]])


def _invocation(flag: Flag) -> str:
    """Return names and placeholder; where they are too long for a line, one name or choice per line."""
    if not flag.names:
        return flag.value
    names = ", ".join(flag.names)
    whole = f"{names} {flag.value}".strip()
    if len(whole) <= width() - 2:
        return whole
    if not flag.value:
        return ",\n".join(flag.names)
    parts = textwrap.wrap(flag.value.replace(",", ", "), width() - 6, break_on_hyphens=False)
    return "\n".join([names, *(f"    {part}" for part in parts)])


def _flag(group: str, action: Any) -> Flag:
    note, default = _without_default(str(action.help or "").replace("%%", "%"))  # argparse doubles percent signs
    names, switch = tuple(action.option_strings), action.nargs == 0
    if switch and not default.startswith("True"):
        names, default = names[:1], ""
    value = "" if switch else _placeholder(str(action.metavar or ""))
    if not names:
        choices = f" One of {value.strip('[]{}').replace(',', ', ')}." if "," in value else ""
        many = " ..." if "..." in value else ""
        name = action.dest.rpartition(".")[2].upper().replace("-", "_") + many
        note, value = note + choices, name if action.required or not default else f"[{name}]"
    required = bool(action.required)
    if default:
        note += f" (default: {'on' if switch else default})"
    return Flag(group=group, names=names, value=value, note=note, required=required)


def _without_default(text: str) -> tuple[str, str]:
    """Split the description of a flag into its text and its default."""
    found = re.search(r"\s*\((default: (?P<default>.*)|required)\)$", text, re.DOTALL)
    if found is None:
        return text, ""
    default = found["default"]
    if default is None:
        return f"{text[: found.start()]} (required)", ""
    return text[: found.start()], default if default.strip("' ") else "none"


def _placeholder(metavar: str) -> str:
    """Return the placeholder of a value without the brackets that only repeat it: `{None}|PATH` is `PATH|None`."""
    plain = re.sub(r"\[(.+?) \[(?:\1 )?\.\.\.\]\]", r"\1 ...", metavar)
    plain = re.sub(r"\{None,([^{}]*)\}", r"{\1}|None", plain)
    plain = re.sub(r"\{([^{},]*)\}", r"\1", plain)
    plain = re.sub(r"\{(\{[^{}]*\} \.\.\.)\}", r"\1", plain)
    return "|".join(sorted(plain.split("|"), key=lambda part: part == "None"))
