"""Numbers of configurations with the range that can work, declared in the type of each field and checked by name.

    heads: Count = 4                      at least 1
    dropout: Share = 0.0                  at least 0 and below 1
    max_minutes: Positive | None = None   above 0, or None

A configuration calls `check_numbers(self, ...)` when it is made, which checks choices (`Literal["mode", "mean"]`) too.
NaN and infinity are in no range.
"""

import inspect
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from functools import cache
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

GUARD = 1_000_000
"""Upper ends from here on only guard against mistyped numbers."""


@dataclass(frozen=True)
class Range:
    """Range of a number; its ends belong to it unless `above` or `below` says otherwise."""

    low: float = -math.inf
    high: float = math.inf
    above: bool = False
    """Whether the number must be above `low`."""
    below: bool = False
    """Whether the number must be below `high`."""

    def holds(self, number: float) -> bool:
        """Whether a finite number lies in the range."""
        if isinstance(number, float) and not math.isfinite(number):
            return False
        high_enough = number > self.low if self.above else number >= self.low
        return high_enough and (number < self.high if self.below else number <= self.high)

    def told(self, number: float) -> str:
        """Return the range in words, for a number outside it.

        An upper end of a million or more, which guards against mistyped numbers, is told to those only.
        """
        parts = []
        if self.low > -math.inf and not (self.high >= GUARD and number > self.high):
            parts.append(f"{'above' if self.above else 'at least'} {self.low:g}")
        if self.high < GUARD:
            parts.append(f"{'below' if self.below else 'at most'} {self.high:,g}")
        elif self.high < math.inf and number > self.high:
            parts.append(f"at most {self.high:.0f}")
        if parts and self.high == math.inf and not math.isfinite(number):
            parts.append("finite")
        return " and ".join(parts) or "a finite number"


Count = Annotated[int, Range(1, 1_000_000_000)]
"""Number of things, at least 1."""
CountOrNone = Annotated[int, Range(0, 1_000_000_000)]
"""Number of things of which there may be none, at least 0."""
Episodes = Annotated[int, Range(1, 1_000_000)]
"""Number of episodes that are played or recorded."""
Workers = Annotated[int, Range(1, 1_000)]
"""Number of processes or threads at the same time."""
Tokens = Annotated[int, Range(1, 10_000)]
"""Number of tokens, actions, timesteps or steps, for each of which a policy takes memory."""
Frequencies = Annotated[int, Range(0, 64)]
"""Number of Fourier frequencies, of which there may be none."""
BinsOrNone = Annotated[int, Range(0, 100_000)]
"""Number of bins; 0: none."""
Seed = Annotated[int, Range(0, 2**32 - 1)]
"""Seed of random numbers; NumPy takes 32 bits."""
Positive = Annotated[float, Range(0, above=True)]
"""Number above 0."""
NotNegative = Annotated[float, Range(0)]
"""Number of at least 0."""
Share = Annotated[float, Range(0, 1, below=True)]
"""Share of at least 0 and below 1, such as a dropout."""
PositiveShare = Annotated[float, Range(0, 1, above=True)]
"""Share above 0 and of at most 1."""
WholeShare = Annotated[float, Range(0, 1)]
"""Share from 0 to 1, both included."""
Finite = Annotated[float, Range()]
"""Any number but NaN and infinity."""
Layers = Annotated[int, Range(1, 1_000)]
"""Number of layers; a damaged number must not fill the memory."""
Width = Annotated[int, Range(1, 100_000)]
"""Width in features; a damaged number must not fill the memory."""
Pixels = Annotated[int, Range(1, 16_384)]
"""Side of an image in pixels."""


def check_numbers(config: Any, prefix: str) -> None:
    """Check every number and choice of a configuration against what the type of its field declares.

    Args:
        config: Instance of a dataclass.
        prefix: Place of the configuration in an experiment, such as `policy`; empty if its fields are flags themselves.

    Raises:
        ValueError: if a number lies outside its range, or a choice is none of those declared; the message names the
            field by its place.
    """
    ranges = declared_ranges(type(config))
    _check(ranges, {name: getattr(config, name) for name in ranges}, prefix)
    for name, choices in _declared_choices(type(config)).items():
        if (value := getattr(config, name)) not in choices:
            place = f"{prefix}.{name}".lstrip(".")
            raise ValueError(f"{place} must be one of {', '.join(map(str, choices))}, got {value!r}")


def check_parameters(function: Callable[..., Any], arguments: Mapping[str, Any]) -> None:
    """Check the numbers that are passed to a command against the ranges that its parameters declare.

    Args:
        function: Function whose parameters are flags.
        arguments: Values by the name of the parameter.

    Raises:
        ValueError: if a number lies outside its range; the message names the flag.
    """
    hints = get_type_hints(inspect.unwrap(function), include_extras=True)
    _check({name: tuple(_ranges(hints[name])) for name in arguments if name in hints}, arguments, "")


def _check(declared: Mapping[str, tuple[Range, ...]], values: Mapping[str, Any], prefix: str) -> None:
    for name, ranges in declared.items():
        value = values[name]
        numbers = value.values() if isinstance(value, Mapping) else value if isinstance(value, tuple) else (value,)
        for number in numbers:
            if not isinstance(number, (int, float)) or isinstance(number, bool):
                continue
            if ranges and not any(allowed.holds(number) for allowed in ranges):
                flag = "--" + f"{prefix}.{name}".lstrip(".").replace("_", "-")
                place, remedy = (f"{prefix}.{name}", f": change {flag}") if prefix else (flag, "")
                raise ValueError(
                    f"{place} must be {' or '.join(allowed.told(number) for allowed in ranges)}, got {number}{remedy}"
                )


@cache
def declared_ranges(config: type) -> dict[str, tuple[Range, ...]]:
    """Return the ranges that a dataclass declares, by field; fields without any are left out."""
    hints = get_type_hints(config, include_extras=True)
    found = {field.name: tuple(dict.fromkeys(_ranges(hints[field.name]))) for field in fields(config)}
    return {name: ranges for name, ranges in found.items() if ranges}


@cache
def _declared_choices(config: type) -> dict[str, tuple[Any, ...]]:
    """Return the values that a dataclass allows, by field; fields that are no choice are left out."""
    hints = get_type_hints(config)
    found = {field.name: tuple(_choices(hints[field.name])) for field in fields(config)}
    return {name: choices for name, choices in found.items() if choices}


def _choices(annotation: Any) -> Iterator[Any]:
    """Find the values of a choice, with None where it may be None; nothing for any other type."""
    parts = get_args(annotation)
    if get_origin(annotation) is Literal:
        yield from parts
    elif parts and all(part is type(None) or get_origin(part) is Literal for part in parts):
        for part in parts:
            yield from (None,) if part is type(None) else get_args(part)


def _ranges(annotation: Any) -> Iterator[Range]:
    """Find the ranges inside unions, tuples and mappings."""
    for part in get_args(annotation):
        if isinstance(part, Range):
            yield part
        else:
            yield from _ranges(part)
