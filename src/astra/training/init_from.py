"""Initial weights from another policy, for fine-tuning: matched by the names of what they belong to."""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from astra.policies.checkpoint import fill, load_policy
from astra.policies.policy import Policy
from astra.storage.config_json import to_json
from astra.tokenizers.actions import DiscreteActions
from astra.training.weight_names import Rows, causal_order, knows, weight_names
from astra.trajectory import ActionSpec, TrajectorySpec

OPTIONAL = ("states.images.", "states.objects.", "language.picture")
"""Parts that a policy has only if its data have frames, objects or pictures."""


@dataclass(frozen=True, kw_only=True)
class Matches:
    """Names of one kind that two policies share, and those that only one of them has."""

    kind: str
    both: list[str]
    new: list[str]
    dropped: list[str]


def initialize_from(policy: Policy[Any], folder: str | Path) -> str:
    """Fill a new policy with the weights of another one, and return what was matched, new and dropped.

    Weights of cameras, state vectors, views, action dimensions and words go to those of the same name. What is new
    keeps its random weights. All other weights have to be the same.

    Args:
        policy: The new policy; all of its weights are replaced, or none.
        folder: Folder of the other policy, of a checkpoint or of a run.

    Raises:
        FileNotFoundError: if there is no policy.
        ValueError: if the files are damaged, or the two policies contradict each other.
    """
    with torch.random.fork_rng():
        old = load_policy(folder)
    weights: dict[str, Tensor] = {}
    if not (problems := list(_contradictions(old, policy))):
        weights, problems = _matched(old, policy)
    if problems:
        more = f" and {len(problems) - 3} more" if len(problems) > 3 else ""
        raise ValueError(
            f"training.init_from={str(folder)!r} holds a policy that does not fit this one: "
            f"{'; '.join(problems[:3])}{more}. Make the options and the data agree, or leave training.init_from out"
        )
    fill(policy, weights, str(folder))
    return _report(folder, old, policy)


def _matched(old: Policy[Any], new: Policy[Any]) -> tuple[dict[str, Tensor], list[str]]:
    """Return the weights of the new policy, and what does not fit."""
    old_names, new_names = weight_names(old), weight_names(new)
    old_weights, weights = old.state_dict(), new.state_dict()
    sources = {old_names.key(name): name for name in old_weights}
    parts = {old_names.key(name)[1] for name in old_weights}, {new_names.key(name)[1] for name in weights}
    lacking = tuple(part for part in OPTIONAL if not any(name.startswith(part) for name in old_weights))
    unneeded = tuple(part for part in OPTIONAL if not any(name.startswith(part) for name in weights))
    problems, filled = [], {}
    for name, weight in weights.items():
        key = new_names.key(name)
        source = sources.pop(key, None)
        if source is None:
            if key[1] in parts[0] and not name.startswith(lacking):
                problems.append(f"{name} is missing")
            continue
        found = _placed(old_weights[source], old_names.rows.get(source), weight, new_names.rows.get(name))
        if found is None:
            of = f" of {key[1]!r}" if key[1] else ""
            shapes = f"shape {tuple(old_weights[source].shape)}, here {tuple(weight.shape)}"
            problems.append(f"{key[0]}{of} has {shapes}")
        else:
            filled[name] = found
    problems += [
        f"{name} has no place here"
        for key, name in sources.items()
        if key[1] in parts[1] and not name.startswith(unneeded)
    ]
    if problems:
        problems = [*_differences(to_json(old.config), to_json(new.config)), *problems]
    return {name: filled.get(name, weight) for name, weight in weights.items()}, problems


def _placed(
    source: Tensor, old_rows: tuple[int, Rows] | None, target: Tensor, new_rows: tuple[int, Rows] | None
) -> Tensor | None:
    """Return the target with the source's rows of equal name, or None if the other axes do not fit."""
    if old_rows is None or new_rows is None:
        return source if source.shape == target.shape else None
    (axis, before), (_, after) = old_rows, new_rows
    places: Mapping[Hashable, int] = {name: place for place, name in enumerate(before)}
    shared = [(places[name], place) for place, name in enumerate(after) if name in places]
    source, filled = source.to(target.device).movedim(axis, 0), target.clone()
    if source.shape[1:] != filled.movedim(axis, 0).shape[1:]:
        return None
    if shared:
        taken, put = (torch.tensor(column, device=target.device) for column in zip(*shared, strict=True))
        filled.movedim(axis, 0)[put] = source[taken]
    return filled


def _contradictions(old: Policy[Any], new: Policy[Any]) -> Iterator[str]:
    """Yield what two policies mean differently by the same name."""
    if type(old) is not type(new):
        yield f"it is {type(old).__name__}, this one {type(new).__name__}"
        return
    if not knows(new) and _order(old.spec) != _order(new.spec):
        yield (
            f"the weights of a {type(new).__name__} have no names, so its data need the same columns in the same "
            f"order: {_order(old.spec)}, here {_order(new.spec)}"
        )
    if old.config.reference_state != new.config.reference_state:
        yield (
            f"its actions are relative to {old.config.reference_state}, here to {new.config.reference_state} "
            f"(policy.reference_state)"
        )
    for name, size in new.spec.states.items():
        if old.spec.states.get(name, size) != size:
            yield f"state vector {name!r} has {old.spec.states[name]} numbers, here {size}"
    for kind, first, second in zip(("state", "action"), causal_order(old), causal_order(new), strict=True):
        shared = [name for name in second if name in first]
        if shared != (order := [name for name in first if name in second]):
            yield (
                f"its {kind} tokens are read one after the other as {', '.join(map(str, order))}, here as "
                f"{', '.join(map(str, shared))}: let the data list them in the same order"
            )
    before, after = _dimensions(old), _dimensions(new)
    for name in before.keys() & after.keys():
        if before[name] != after[name]:
            yield f"action dimension {name!r} has {before[name]}, here {after[name]}"
    if not before.keys() & after.keys():
        yield f"no action dimension in common: {', '.join(before)}, here {', '.join(after)}"


def _order(spec: TrajectorySpec) -> list[str]:
    return [*spec.states, *spec.images, *(spec.objects.views if spec.objects else ()), *spec.actions.names]


def _dimensions(policy: Policy[Any]) -> dict[str, str]:
    """Describe the kind of every action dimension."""
    spec: ActionSpec = policy.spec.actions
    kinds = [
        "two values" if binary else "values around a circle" if periodic else "values between bounds"
        for binary, periodic in zip(spec.binary, spec.periodic, strict=True)
    ]
    for actions in policy.children():
        if isinstance(actions, DiscreteActions):
            kinds = [f"{count} bins, {kind}" for count, kind in zip(actions.counts.tolist(), kinds, strict=True)]
    return dict(zip(spec.names, kinds, strict=True))


def _differences(old: Any, new: Any, path: str = "policy") -> Iterator[str]:
    """Yield the options that differ."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in {**old, **new}:
            yield from _differences(old.get(key), new.get(key), f"{path}.{key}")
    elif old != new:
        yield f"it has {path}={old}, this one {new}"


def _report(folder: str | Path, old: Policy[Any], new: Policy[Any]) -> str:
    """Return a message: what was matched, new and dropped, and what differs behind equal names."""
    found = [match for match in _matches(old, new) if match.both or match.new or match.dropped]
    lines = [f"initial weights from {folder}, matched by name"]
    lines += [f"  {match.kind}: {_listed(match)}" for match in found]
    bounds = [(spec.low, spec.high) for spec in (old.spec.actions, new.spec.actions)]
    ranges = [
        dict(zip(policy.spec.actions.names, zip(*bound, strict=True), strict=True))
        for policy, bound in zip((old, new), bounds, strict=True)
    ]
    changed = [name for name in ranges[1] if ranges[0].get(name, ranges[1][name]) != ranges[1][name]]
    if changed:
        name = changed[0]
        before, after = ("{:g} to {:g}".format(*values[name]) for values in ranges)
        lines.append(f"  the range of {_some(changed)} differs ({name}: {before}, now {after}), and with it every bin")
    if old.spec.fps != new.spec.fps:
        lines.append(f"  it was trained at {old.spec.fps:g} timesteps per second, the data have {new.spec.fps:g}")
    return "\n".join(lines)


def _matches(old: Policy[Any], new: Policy[Any]) -> Iterator[Matches]:
    specs = old.spec, new.spec
    yield _match("cameras", *(list(spec.images) for spec in specs))
    yield _match("state vectors", *(list(spec.states) for spec in specs))
    yield _match("views of objects", *(list(spec.objects.views) if spec.objects else [] for spec in specs))
    yield _match("action dimensions", *(list(spec.actions.names) for spec in specs))
    words = [weight_names(policy).rows.get("language.embedding.weight", (0, ()))[1] for policy in (old, new)]
    yield _match("words", *([str(word) for word in rows if word not in ("[PAD]", "[UNK]")] for rows in words))


def _match(kind: str, old: Sequence[str], new: Sequence[str]) -> Matches:
    return Matches(
        kind=kind,
        both=[name for name in new if name in old],
        new=[name for name in new if name not in old],
        dropped=[name for name in old if name not in new],
    )


def _listed(match: Matches) -> str:
    parts = {"matched": match.both, "new (random weights)": match.new, "dropped": match.dropped}
    return "; ".join(f"{title} {_some(names)}" for title, names in parts.items() if names)


def _some(names: list[str]) -> str:
    return ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")
