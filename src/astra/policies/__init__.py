"""Policies: one file per paper. They never import each other, only what all of them share."""

from importlib.metadata import EntryPoint, entry_points

from astra.policies.astra import AstraConfig
from astra.policies.decision_transformer import DecisionTransformerConfig
from astra.policies.diffusion import DiffusionConfig
from astra.policies.flamingo import FlamingoConfig
from astra.policies.gato import GatoConfig
from astra.policies.policy import PolicyConfig
from astra.policies.rt1 import RT1Config
from astra.policies.vima import VimaConfig

POLICIES: dict[str, type[PolicyConfig]] = {
    "astra": AstraConfig,
    "decision-transformer": DecisionTransformerConfig,
    "diffusion": DiffusionConfig,
    "flamingo": FlamingoConfig,
    "gato": GatoConfig,
    "rt1": RT1Config,
    "vima": VimaConfig,
}
"""Configuration of every policy of this package, by the policy's name in checkpoints and tables."""

ENTRY_POINTS = "astra.policies"
"""Entry-point group in which other packages list the configurations of their policies."""


def find_policy(name: str) -> type[PolicyConfig]:
    """Return the configuration of a policy by the policy's name.

    Raises:
        ValueError: if there is no such policy, or its package cannot be imported.
    """
    if name in POLICIES:
        return POLICIES[name]
    for entry in entry_points(group=ENTRY_POINTS):
        if entry.name == name:
            return _imported(entry)
    raise ValueError(f"there is no policy {name!r}; {_choices()}")


def find_config(kind: str) -> type[PolicyConfig]:
    """Return the configuration of a policy by the name of its class, as the config.json of a run has it.

    Raises:
        ValueError: if there is no such class, or its package cannot be imported.
    """
    for config in POLICIES.values():
        if config.__name__ == kind:
            return config
    for entry in entry_points(group=ENTRY_POINTS):
        if entry.attr == kind:
            return _imported(entry)
    raise ValueError(f"there is no policy with the configuration {kind}; {_choices()}")


def name_of(config: type[PolicyConfig]) -> str:
    """Return the name of the policy with this configuration.

    Raises:
        ValueError: if it is listed nowhere.
    """
    for name, kind in POLICIES.items():
        if kind is config:
            return name
    for entry in entry_points(group=ENTRY_POINTS):
        if entry.value == f"{config.__module__}:{config.__qualname__}":
            return entry.name
    raise ValueError(
        f"the policy with the configuration {config.__name__} has no name, by which checkpoints are read: list it in "
        f"astra.policies.POLICIES, or in the entry-point group {ENTRY_POINTS} of its package (docs/add-a-policy.md)"
    )


def _imported(entry: EntryPoint) -> type[PolicyConfig]:
    try:
        config = entry.load()
    except (ImportError, AttributeError) as error:
        raise ValueError(f"the policy {entry.name} cannot be imported from {entry.value} ({error})") from error
    if not (isinstance(config, type) and issubclass(config, PolicyConfig)):
        raise ValueError(f"the policy {entry.name} is {entry.value}, expected a subclass of PolicyConfig")
    return config


def _choices() -> str:
    known = sorted({*POLICIES, *(entry.name for entry in entry_points(group=ENTRY_POINTS))})
    return (
        f"known are {', '.join(known)}. Install the package that lists it in the entry-point group {ENTRY_POINTS}, or "
        "update Astra (docs/add-a-policy.md)"
    )
