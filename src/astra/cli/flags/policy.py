"""`--policy NAME` and `--policy.actions KIND`: another policy or other actions; the experiment keeps the rest."""

from dataclasses import fields, replace
from typing import Any

from astra.experiments.experiment import Experiment
from astra.policies import POLICIES
from astra.policies.rt1 import RT1Config
from astra.policies.sizes import trunk_parameters
from astra.tokenizers.actions import ContinuousActionsConfig, DiscreteActionsConfig
from astra.tokenizers.states import StateConfig


def with_policy(experiment: Experiment, name: str) -> tuple[Experiment, str]:
    """Return the experiment with another policy, and a note on what changed.

    All fields that both configurations have keep their values: encoders, width, window, actions, ... The number of
    layers becomes the one whose trunk is nearest in size to the experiment's, because a layer of VIMA has about twice
    the parameters of a layer of Astra. A policy without action chunks predicts one action at a time.

    Args:
        experiment: experiment to change.
        name: name of a policy in `astra.policies.POLICIES`.
    """
    old: Any = experiment.policy
    kind: Any = POLICIES[name]
    if type(old) is kind:
        return experiment, f"policy: the experiment's own, {name}"
    known = {field.name for field in fields(kind)}
    values = {field.name: getattr(old, field.name) for field in fields(old)}
    kept = {field: value for field, value in values.items() if field in known}
    if "chunk_size" not in known:
        kept["decoding"] = replace(old.decoding, n_action_steps=1)
    if kind is RT1Config:
        kept |= {"head_width": old.width // old.heads, "image_size": _side(old.states, RT1Config().image_size)}
    size, one, two = trunk_parameters(old), *(trunk_parameters(kind(**{**kept, "layers": layers})) for layers in (1, 2))
    nearest = 1 + round((size - one) / (two - one))  # every layer adds as many parameters
    new = kind(**{**kept, "layers": min(max(nearest, 1), 2 * old.layers)})
    defaults = type(old)()
    dropped = [field for field in values.keys() - known if values[field] != getattr(defaults, field)]
    trunk = trunk_parameters(new)
    note = f"policy: {name}, --policy.layers {new.layers}, trunk of {trunk:,} parameters instead of {size:,}"
    if dropped:
        note += f"; it has no {', '.join(sorted(dropped))}"
    return replace(experiment, policy=new), note


def with_actions(experiment: Experiment, kind: str) -> Experiment:
    """Return the experiment with discrete or continuous actions.

    Continuous actions have no soft labels and no temperature. Discrete ones get the default number of bins.
    """
    policy = experiment.policy
    wanted = {"discrete": DiscreteActionsConfig, "continuous": ContinuousActionsConfig}[kind]
    if type(policy.actions) is wanted:
        return experiment
    changes: dict[str, Any] = {"actions": wanted()}
    if kind == "continuous":
        changes |= {"soft_labels": 0.0, "decoding": replace(policy.decoding, temperature=0.0)}
    return replace(experiment, policy=replace(policy, **changes))


def _side(states: StateConfig, default: int) -> int:
    size = states.images.image_size
    return size if isinstance(size, int) else max(size, default=default)
