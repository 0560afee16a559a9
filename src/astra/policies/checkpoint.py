"""A policy in one folder, written whole or not at all, and without pickle.

    policy/config.json               name of the policy, its configuration, the trajectory spec, format, code version
    policy/model.safetensors         weights and persistent buffers
    policy/statistics.safetensors    by what the policy normalizes: states.COLUMN.mean, actions.mean, ...

The weights are complete: a policy that began from pretrained encoders holds those too.
"""

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

import astra
from astra.policies.policy import Policy
from astra.storage.atomic import atomic_folder
from astra.storage.config_json import from_json, to_json
from astra.storage.provenance import code_version
from astra.trajectory import Statistics, TrajectorySpec, VectorStatistics

FORMAT = 1
"""Raised whenever an older Astra could not read what is written."""

CONFIG, MODEL, STATISTICS = "config.json", "model.safetensors", "statistics.safetensors"


def save_policy(policy: Policy[Any], folder: Path) -> None:
    """Write a policy to a new folder.

    Raises:
        FileExistsError: if the folder is there already.
        ValueError: if the policy is not one of `astra.policies.POLICIES`, or a weight is NaN or infinite.
    """
    names = {kind: name for name, kind in _policies().items()}
    if type(policy.config) not in names:
        raise ValueError(f"{type(policy.config).__name__} is not listed in astra.policies.POLICIES: add it there")
    weights = policy.state_dict()
    _check_finite(weights, "the policy")
    description = {
        "format": FORMAT,
        "code_version": code_version(),
        "policy": names[type(policy.config)],
        "config": to_json(policy.config),
        "spec": to_json(policy.spec),
    }
    with atomic_folder(folder) as partial:
        (partial / CONFIG).write_text(json.dumps(description, indent=2) + "\n")
        save_tensors(weights, partial / MODEL)
        save_tensors(_flat_statistics(policy.statistics), partial / STATISTICS)


def load_policy(folder: str | Path, device: torch.device | str = "cpu") -> Policy[Any]:
    """Read a policy, ready to act.

    Args:
        folder: a policy, a checkpoint of a training run, or a run, of which the last checkpoint is taken.
        device: where the policy is put.

    Raises:
        FileNotFoundError: if the folder or one of its files is missing.
        ValueError: if a file is damaged, or does not fit the others or this version of Astra.
    """
    folder = policy_folder(folder)
    config, spec = _read_description(folder / CONFIG)
    policy = config.build(spec, _read_statistics(folder / STATISTICS))
    weights = load_tensors(folder / MODEL)
    _check_finite(weights, str(folder / MODEL))
    fill(policy, weights, str(folder / MODEL))
    return policy.to(device).eval()


def policy_folder(path: str | Path) -> Path:
    """Find the policy's folder in a policy, a checkpoint or a run.

    Raises:
        FileNotFoundError: if there is none, or it lacks a file.
    """
    path = Path(path)
    for folder in (path, path / "policy", path / "checkpoints" / "last" / "policy"):
        present = [name for name in (CONFIG, MODEL, STATISTICS) if (folder / name).is_file()]
        if MODEL in present or STATISTICS in present:
            if missing := sorted({CONFIG, MODEL, STATISTICS} - set(present)):
                raise FileNotFoundError(f"{folder} lacks {', '.join(missing)}: copy the whole folder of the policy")
            return folder
    raise FileNotFoundError(
        f"{path} holds no policy: expected {CONFIG}, {MODEL} and {STATISTICS} in it, in its policy/, "
        f"or in its checkpoints/last/policy/"
    )


def save_tensors(tensors: dict[str, Tensor], path: Path) -> None:
    """Write named tensors to a safetensors file."""
    save_file({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, path)


def load_tensors(path: Path) -> dict[str, Tensor]:
    """Read named tensors from a safetensors file, onto the CPU.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file is damaged.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing")
    try:
        return load_file(path)
    except SafetensorError as error:
        raise ValueError(f"{path} is damaged or cut short ({error}): copy it again, or take another") from error


def fill(module: nn.Module, weights: dict[str, Tensor], source: str) -> None:
    """Copy named weights into a policy, or another module, all of them or none.

    Raises:
        ValueError: if names or shapes differ.
    """
    own = module.state_dict()
    problems = [f"{name} is missing" for name in own.keys() - weights.keys()]
    problems += [f"{name} is not expected" for name in weights.keys() - own.keys()]
    problems += [
        f"{name} has shape {tuple(weights[name].shape)} instead of {tuple(tensor.shape)}"
        for name, tensor in own.items()
        if name in weights and weights[name].shape != tensor.shape
    ]
    if problems:
        more = f" and {len(problems) - 3} more" if len(problems) > 3 else ""
        raise ValueError(
            f"the weights in {source} do not fit the {type(module).__name__} that its configuration describes: "
            f"{', '.join(sorted(problems)[:3])}{more}; they belong to another architecture or version"
        )
    module.load_state_dict(weights)


def _policies() -> dict[str, type]:
    from astra.policies import POLICIES  # here, because a policy's file may import this one's neighbors

    return POLICIES


def _read_description(path: Path) -> tuple[Any, TrajectorySpec]:
    try:
        description = json.loads(path.read_text())
        format, name = description["format"], description["policy"]
        config, spec = description["config"], description["spec"]
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is no description of a policy ({error!r}): copy it again") from error
    if format != FORMAT:
        raise ValueError(f"{path} has format {format!r}, this Astra ({astra.__version__}) reads {FORMAT}: update Astra")
    if name not in _policies():
        raise ValueError(f"{path} describes a policy {name!r}, known are: {', '.join(sorted(_policies()))}")
    return from_json(_policies()[name], config, f"{path}: config"), from_json(TrajectorySpec, spec, f"{path}: spec")


def _flat_statistics(statistics: Statistics) -> dict[str, Tensor]:
    vectors = {f"states.{column}": vector for column, vector in statistics.states.items()}
    vectors |= {f"relative_actions.{column}": vector for column, vector in statistics.relative_actions.items()}
    vectors["actions"] = statistics.actions
    return {
        f"{name}.{field.name}": getattr(vector, field.name)
        for name, vector in vectors.items()
        for field in fields(VectorStatistics)
    }


def _read_statistics(path: Path) -> Statistics:
    tensors = load_tensors(path)
    _check_finite(tensors, str(path))
    names = {name.rpartition(".")[0] for name in tensors}
    try:
        vectors = {
            name: VectorStatistics(**{f.name: tensors[f"{name}.{f.name}"] for f in fields(VectorStatistics)})
            for name in sorted(names)
        }
        actions = vectors.pop("actions")
    except KeyError as error:
        raise ValueError(f"{path} lacks {error.args[0]!r}: copy it again") from error
    return Statistics(
        states=_of_group("states.", vectors), actions=actions, relative_actions=_of_group("relative_actions.", vectors)
    )


def _of_group(prefix: str, vectors: dict[str, VectorStatistics]) -> dict[str, VectorStatistics]:
    return {name.removeprefix(prefix): vector for name, vector in vectors.items() if name.startswith(prefix)}


def _check_finite(tensors: dict[str, Tensor], what: str) -> None:
    bad = [name for name, tensor in tensors.items() if not tensor.isfinite().all()]
    if bad:
        raise ValueError(f"{what} has NaN or infinite values in {', '.join(bad[:3])} ({len(bad)} of {len(tensors)})")
