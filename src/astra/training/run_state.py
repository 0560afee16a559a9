"""Content of a checkpoint: everything that a run needs to continue bit for bit.

    policy/                                 policy with EMA weights, for `load_policy`
    training_state/weights.safetensors      weights in training, without the frozen ones
    training_state/contrastive.safetensors  head of contrastive dynamics learning, if there is one
    training_state/optimizer.safetensors    optimizer moments by parameter: WEIGHT.exp_avg, ...
    training_state/state.json               updates and seconds so far, position in the data, number of EMA updates, and
                                            the checksums of the files above: they belong to one update

The learning rate depends on the budget only, and random draws on the seed and the update only, so neither is stored.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from astra.contrastive_dynamics.objective import ContrastiveDynamics
from astra.datasets.batches import BatchSampler
from astra.policies.checkpoint import MODEL, fill, save_policy
from astra.policies.policy import Policy
from astra.storage.json_checksum import checked_json, read_checked_json
from astra.storage.tensor_files import CHECKSUMS, load_tensors, recorded_checksums, save_tensors
from astra.training.budget import Budget
from astra.training.ema import EMA
from astra.training.optimizer import moments_of

WEIGHTS, CONTRASTIVE, OPTIMIZER = "weights.safetensors", "contrastive.safetensors", "optimizer.safetensors"
FORMAT = 2
"""Version of the format, raised with every incompatible change."""
COUNTERS: dict[str, tuple[type, ...]] = {
    "budget.update": (int,),
    "budget.seconds": (int, float),
    "ema_updates": (int,),
    "sampler.position": (int,),
    "sampler.seed": (int,),
    "sampler.num_items": (int,),
}
"""Numbers of state.json and their types."""


@dataclass(frozen=True, kw_only=True)
class RunState:
    """Parts of a run that change with its updates."""

    policy: Policy[Any]
    ema: EMA[Policy[Any]]
    optimizer: torch.optim.Optimizer
    sampler: BatchSampler
    budget: Budget
    contrastive: ContrastiveDynamics | None = None

    def save(self, checkpoint: Path) -> None:
        """Write a checkpoint into a new folder.

        Raises:
            ValueError: if a weight is NaN or infinite.
        """
        checksums = save_policy(self.ema.policy, checkpoint / "policy")
        folder = checkpoint / "training_state"
        folder.mkdir()
        frozen = self._frozen()
        weights = {name: tensor for name, tensor in self.policy.state_dict().items() if name not in frozen}
        tensors = {WEIGHTS: weights, OPTIMIZER: _flat(self.optimizer)}
        if self.contrastive is not None:
            tensors[CONTRASTIVE] = self.contrastive.state_dict()
        checksums |= {name: save_tensors(values, folder / name) for name, values in tensors.items()}
        state = {
            "format": FORMAT,
            "budget": {"update": self.budget.update, "seconds": self.budget.seconds},
            "ema_updates": self.ema.updates,
            "sampler": self.sampler.state_dict(),
            CHECKSUMS: checksums,
        }
        (folder / "state.json").write_text(checked_json(state))

    def load(self, checkpoint: Path) -> None:
        """Load a checkpoint into this state.

        Raises:
            FileNotFoundError: if a file is missing.
            ValueError: if a file is damaged, or belongs to another run or version of Astra.
        """
        folder = checkpoint / "training_state"
        state = read_state(folder / "state.json")
        checksums = recorded_checksums(state, folder / "state.json")
        averages = load_tensors(checkpoint / "policy" / MODEL, checksums)
        fill(self.ema.policy, averages, str(checkpoint / "policy"))
        frozen = {name: averages[name] for name in self._frozen()}
        fill(self.policy, frozen | load_tensors(folder / WEIGHTS, checksums), str(folder))
        if self.contrastive is not None:
            fill(self.contrastive, load_tensors(folder / CONTRASTIVE, checksums), str(folder / CONTRASTIVE))
        _unflatten(load_tensors(folder / OPTIMIZER, checksums), self.optimizer, folder / OPTIMIZER)
        self.ema.updates = state["ema_updates"]
        self.sampler.load_state_dict(state["sampler"])
        self.budget.update, self.budget.seconds = state["budget"]["update"], state["budget"]["seconds"]

    def _frozen(self) -> set[str]:
        return {name for name, weight in self.policy.named_parameters() if not weight.requires_grad}


def read_state(path: Path) -> dict[str, Any]:
    """Read the state.json of a checkpoint.

    Raises:
        FileNotFoundError: if there is none.
        ValueError: if it is damaged, or of another version.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: this checkpoint can be evaluated, but not resumed")
    state = read_checked_json(path, "JSON", "resume from another checkpoint")
    if state.get("format") != FORMAT:
        raise ValueError(
            f"{path} has format {state.get('format')!r}, and this version of Astra reads {FORMAT}: use the version of "
            f"Astra that wrote it, or train again"
        )
    for name, kind in COUNTERS.items():
        value: Any = state
        for key in name.split("."):
            value = value.get(key) if isinstance(value, dict) else None
        if type(value) not in kind or not 0 <= value < float("inf"):
            raise ValueError(
                f"{path} has {name}={value!r}, expected a number of at least 0: resume from another checkpoint"
            )
    return state


def _flat(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    names, state = _parameter_names(optimizer), optimizer.state_dict()["state"]
    return {f"{names[index]}.{key}": value for index, values in state.items() for key, value in values.items()}


def _unflatten(tensors: dict[str, Tensor], optimizer: torch.optim.Optimizer, path: Path) -> None:
    weights = {
        name: weight
        for group in optimizer.param_groups
        for name, weight in zip(group["param_names"], group["params"], strict=True)
    }
    indices = {name: index for index, name in _parameter_names(optimizer).items()}
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        parameter, _, key = name.rpartition(".")
        if parameter not in indices:
            raise ValueError(
                f"{path} has optimizer moments of {parameter or name!r}, not a weight in training: resume from another "
                f"checkpoint, or the run that wrote them"
            )
        shape = () if key == "step" else tuple(weights[parameter].shape)
        if tuple(tensor.shape) != shape or not tensor.is_floating_point() or not tensor.isfinite().all():
            raise ValueError(
                f"{path} has {name} of shape {tuple(tensor.shape)} and type {tensor.dtype}, expected finite numbers of "
                f"shape {shape}: resume from another checkpoint"
            )
        state.setdefault(indices[parameter], {})[key] = tensor
    groups = optimizer.state_dict()["param_groups"]
    expected = {index: moments_of(group) for group in groups for index in group["params"]}
    for index, moments in state.items():
        if moments.keys() != expected[index]:
            raise ValueError(
                f"{path} has {', '.join(sorted(moments))} of {_parameter_names(optimizer)[index]!r}, expected "
                f"{', '.join(sorted(expected[index]))}: resume from another checkpoint"
            )
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def _parameter_names(optimizer: torch.optim.Optimizer) -> dict[int, str]:
    groups = optimizer.state_dict()["param_groups"]
    return {index: name for group in groups for index, name in zip(group["params"], group["param_names"], strict=True)}
