"""Differences between the data of two datasets, or of a dataset and a policy, in words."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from astra.objects import ObjectSpec
from astra.trajectory import ActionSpec, TrajectorySpec


def spec_differences(got: TrajectorySpec, expected: TrajectorySpec) -> list[str]:
    """Return what data has that differs from what is expected, as parts of a sentence after "it has".

    Instructions and suites do not count.
    """
    found = []
    if got.fps != expected.fps:
        found.append(f"{got.fps:g} timesteps per second, not {expected.fps:g}")
    found += _of_columns(got.states, expected.states, lambda size: f"{size} dimensions")
    found += _of_columns(got.images, expected.images, lambda size: f"frames of {size[0]} x {size[1]} pixels")
    if got.objects != expected.objects:
        found.append(f"{_objects(got.objects)}, not {_objects(expected.objects)}")
    found += _of_actions(got.actions, expected.actions)
    return found


def _of_columns(got: Mapping[str, Any], expected: Mapping[str, Any], told: Callable[[Any], str]) -> Iterator[str]:
    for name in sorted(got.keys() | expected.keys()):
        if name not in got:
            yield f"no {name}"
        elif name not in expected:
            yield f"{name}, which is not expected"
        elif got[name] != expected[name]:
            yield f"{name} with {told(got[name])}, not {told(expected[name])}"


def _of_actions(got: ActionSpec, expected: ActionSpec) -> Iterator[str]:
    """Return the first difference of two kinds of actions."""
    if got.names != expected.names:
        yield f"the action dimensions {', '.join(got.names)}, not {', '.join(expected.names)}"
        return
    for n, name in enumerate(got.names):
        one, two = ((each.low[n], each.high[n]) for each in (got, expected))
        if one != two:
            mine, other = (f"{side[0]:.9g} to {side[1]:.9g}" for side in (one, two))
            yield f"the action dimension {name} from {mine}, not from {other}"
            return
    for kind in ("binary", "periodic", "bins"):
        one, two = (getattr(each, kind) for each in (got, expected))
        if one != two:
            yield f"actions with {kind}={one}, not {kind}={two}"


def _objects(spec: ObjectSpec | None) -> str:
    if spec is None:
        return "no objects"
    sizes = ", ".join(f"{view} ({height} x {width})" for view, (height, width) in spec.views.items())
    return f"at most {spec.max_objects} objects in the views {sizes}, and {spec.max_pictured} in prompts"
