"""A policy in one folder, written atomically and without pickle.

    policy/config.json               name of the policy, its configuration, the trajectory spec, format, code version,
                                     checksums of the attention rule and of the two files below
    policy/model.safetensors         weights and persistent buffers
    policy/statistics.safetensors    statistics that normalize data: states.COLUMN.mean, actions.mean, ...; and the
                                     units of each dataset of a mixture whose datasets have statistics of their own

The weights are complete: those of pretrained encoders that are trained are included; frozen ones are named in
config.json and read from this machine.
"""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import astra
from astra.attention import masks
from astra.policies import find_policy, name_of
from astra.policies.policy import Policy, PolicyConfig
from astra.storage.allocation_limit import AllocationLimit
from astra.storage.atomic import atomic_folder
from astra.storage.config_json import from_json, to_json
from astra.storage.json_checksum import checked_json, read_checked_json
from astra.storage.provenance import code_version
from astra.storage.tensor_files import CHECKSUMS, load_tensors, recorded_checksums, save_tensors, tensor_shapes
from astra.storage.what_is import what_is
from astra.tokenizers.vision.pretrained import local_files_only
from astra.trajectory import DatasetUnits, Statistics, TrajectorySpec, VectorStatistics, in_units_of

FORMAT = 2
"""Number of the file format, raised at every incompatible change. Format 1 has the names before the renaming of 0.1."""

DATASETS = "datasets."
"""Beginning of the names of tensors with the units of single datasets."""
RULE = "attention_rule"
"""Entry with the checksum of `may_attend`; policies of earlier versions lack it."""
CONFIG, MODEL, STATISTICS = "config.json", "model.safetensors", "statistics.safetensors"


def save_policy(policy: Policy[Any], folder: Path) -> dict[str, str]:
    """Write a policy to a new folder, and return the checksums of its tensor files by their names.

    Raises:
        FileExistsError: if the folder exists.
        ValueError: if the policy is listed nowhere, or a weight is NaN or infinite.
    """
    name = name_of(type(policy.config))
    weights = policy.state_dict()
    _check_finite(weights, "the policy", "lower --training.learning-rate, and train again")
    description = {
        "format": FORMAT,
        "code_version": code_version(),
        "policy": name,
        "config": to_json(policy.config),
        "spec": to_json(policy.spec),
        RULE: masks.rule_checksum(),
    }
    if policy.statistics.datasets:
        description["datasets"] = list(policy.statistics.datasets)
    tensors = {MODEL: weights, STATISTICS: flat_statistics(policy.statistics)}
    with atomic_folder(folder) as partial:
        checksums = {name: save_tensors(values, partial / name) for name, values in tensors.items()}
        (partial / CONFIG).write_text(checked_json(description | {CHECKSUMS: checksums}))
    return checksums


def load_policy(
    folder: str | Path,
    device: torch.device | str = "cpu",
    *,
    allow_downloads: bool = False,
    statistics: str = "",
) -> Policy[Any]:
    """Read a policy, ready to act.

    A configuration that needs far more memory than the weights beside it is refused before it is taken. If this process
    has another attention rule than the training had, a warning says so.

    Args:
        folder: Folder of a policy, of a checkpoint, or of a run (its last checkpoint is read).
        device: Device of the policy.
        allow_downloads: Whether a pretrained encoder that the policy names may be downloaded from the Hugging Face hub;
            otherwise it must be on this machine.
        statistics: Dataset of a mixture in whose units the policy observes and acts, if each has statistics of its own;
            empty: the first.

    Raises:
        FileNotFoundError: if the folder or one of its files is missing.
        ValueError: if a file is damaged, or does not fit the other files or this version of Astra; or if the policy has
            no such dataset.
    """
    folder = policy_folder(folder)
    config, spec, datasets, checksums = _read_description(folder / CONFIG)
    if told := other_rule(folder / CONFIG):
        warnings.warn(told, stacklevel=2)
    spec, own = in_units_of(spec, _read_statistics(folder / STATISTICS, datasets, checksums), statistics)
    with local_files_only(not allow_downloads):
        policy = _build(config, spec, own, folder)
    weights = load_tensors(folder / MODEL, checksums)
    fill(policy, weights, str(folder / MODEL))
    return policy.to(device).eval()


def policy_folder(path: str | Path) -> Path:
    """Return the policy's folder inside a policy, a checkpoint or a run.

    Raises:
        FileNotFoundError: if there is none, or it lacks a file.
    """
    path = Path(path)
    for folder in (path, path / "policy", path / "checkpoints" / "last" / "policy"):
        present = [name for name in (CONFIG, MODEL, STATISTICS) if (folder / name).is_file()]
        if MODEL in present or STATISTICS in present:
            if missing := sorted({CONFIG, MODEL, STATISTICS} - set(present)):
                raise FileNotFoundError(f"{folder} lacks {', '.join(missing)}: copy the policy's whole folder")
            return folder
    if not path.exists():
        raise FileNotFoundError(f"{path} holds no policy: it does not exist")
    expected = f"expected {CONFIG}, {MODEL} and {STATISTICS} in it, in its policy/ or in its checkpoints/last/policy/"
    raise FileNotFoundError(f"{path} holds no policy: {what_is(path) or expected}")


def fill(module: nn.Module, weights: dict[str, Tensor], source: str) -> None:
    """Copy named weights into a module: all of them, or none if one does not fit.

    Raises:
        ValueError: if names, shapes or types differ, or a weight is NaN or infinite.
    """
    _check_finite(weights, source, "use an earlier checkpoint")
    own = module.state_dict()
    problems = [f"{name} is missing" for name in own.keys() - weights.keys()]
    problems += [f"{name} is not expected" for name in weights.keys() - own.keys()]
    for name in own.keys() & weights.keys():
        shape, expected = tuple(weights[name].shape), tuple(own[name].shape)
        if shape != expected:
            problems.append(f"{name} has shape {shape} instead of {expected}")
        elif weights[name].dtype != own[name].dtype:
            problems.append(f"{name} has numbers of type {weights[name].dtype} instead of {own[name].dtype}")
    if problems:
        more = f" and {len(problems) - 3} more" if len(problems) > 3 else ""
        raise ValueError(
            f"the weights in {source} do not fit the {type(module).__name__} of its configuration: "
            f"{', '.join(sorted(problems)[:3])}{more}; they belong to another architecture or version"
        )
    module.load_state_dict(weights)


def _build(config: PolicyConfig, spec: TrajectorySpec, statistics: Statistics, folder: Path) -> Policy[Any]:
    """Build a policy whose configuration may hold anything, in no more memory than its weights justify.

    Raises:
        ValueError: if the configuration does not describe the weights beside it.
    """
    shapes = tensor_shapes(folder / MODEL)
    stored = sum(shape.numel() for shape in shapes.values())
    largest = max(stored, 1 << 20)
    for where, number in (*_numbers(to_json(config), "config"), *_numbers(to_json(spec), "spec")):
        # A layer has weights of its own; no other number is larger than the weights or the usual settings.
        if number > (len(shapes) if where.endswith("layers") else largest):
            raise ValueError(
                f"{folder / CONFIG}: {where}={number} does not fit {MODEL}, which holds {len(shapes)} tensors of "
                f"{stored:,} numbers: copy both files again"
            )
    unlimited = _names_pretrained(to_json(config))  # the weights of a frozen encoder are elsewhere
    try:
        with nullcontext() if unlimited else AllocationLimit(4 * stored + (1 << 24)):
            return config.build(spec, statistics)
    except (FileNotFoundError, ImportError):
        raise
    except Exception as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ValueError(f"{folder / CONFIG} describes a policy that cannot be built: {reason}") from error


def _numbers(value: Any, where: str) -> Iterator[tuple[str, int]]:
    if isinstance(value, dict):
        for name, item in value.items():
            yield from _numbers(item, f"{where}.{name}")
    elif isinstance(value, list):
        for place, item in enumerate(value):
            yield from _numbers(item, f"{where}[{place}]")
    elif isinstance(value, int):
        yield where, value


def _names_pretrained(value: Any) -> bool:
    if not isinstance(value, dict):
        return False
    return value.get("pretrained") is not None or any(_names_pretrained(item) for item in value.values())


def check_format(path: Path) -> None:
    """Check that this version of Astra can read a policy's config.json.

    Raises:
        ValueError: if it cannot, saying what to do.
    """
    description = _read_json(path)
    written = description["format"]
    if written == FORMAT:
        return
    older = isinstance(written, int) and written < FORMAT
    advice = (
        f"files of that version cannot be converted. Train the policy again, or use it with the version that wrote it "
        f"({description.get('code_version', 'unknown')})"
        if older
        else "update Astra"
    )
    raise ValueError(f"{path} has format {written!r}, but Astra {astra.__version__} reads format {FORMAT}: {advice}")


def other_rule(path: Path) -> str:
    """Return a sentence that says that a policy was trained under another attention rule than this process has.

    Args:
        path: Its config.json.
    """
    if _read_json(path).get(RULE) in (None, masks.rule_checksum()):
        return ""
    return (
        f"{path}: the policy was trained under another attention rule than `may_attend` has now, so its outputs differ "
        "from what it learned: make the same change here as in its training (see docs/changing-the-mask.md)"
    )


def _read_description(path: Path) -> tuple[PolicyConfig, TrajectorySpec, list[str], dict[str, Any]]:
    """Return the configuration, the spec, the datasets that have statistics of their own, and the checksums."""
    description = _read_json(path)
    check_format(path)
    name = description["policy"]
    if not isinstance(name, str):
        raise ValueError(f"{path} has the policy {name!r}, expected its name: copy it again")
    try:
        kind = find_policy(name)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    config = from_json(kind, description["config"], f"{path}: config")
    datasets = description.get("datasets", [])
    if not isinstance(datasets, list) or not all(isinstance(name, str) for name in datasets):
        raise ValueError(f"{path} has the datasets {datasets!r}, expected a list of names: copy it again")
    spec = from_json(TrajectorySpec, description["spec"], f"{path}: spec")
    return config, spec, datasets, recorded_checksums(description, path)


def _read_json(path: Path) -> dict[str, Any]:
    description = read_checked_json(path, "JSON of a policy", "copy it again")
    if missing := {"format", "policy", "config", "spec"} - description.keys():
        raise ValueError(f"{path} lacks {', '.join(sorted(missing))}: copy it again")
    return description


def flat_statistics(statistics: Statistics) -> dict[str, Tensor]:
    """Return the tensors of statistics by the names that they have in a policy folder."""
    vectors = {f"states.{column}": vector for column, vector in statistics.states.items()}
    vectors |= {f"relative_actions.{column}": vector for column, vector in statistics.relative_actions.items()}
    vectors["actions"] = statistics.actions
    flat = {
        f"{name}.{field.name}": getattr(vector, field.name)
        for name, vector in vectors.items()
        for field in fields(VectorStatistics)
        if getattr(vector, field.name) is not None
    }
    for number, units in enumerate(statistics.datasets.values()):
        for name, value in vars(units).items():
            named = value if isinstance(value, Mapping) else {"": value}
            flat |= {f"{DATASETS}{number}.{name}.{column}": tensor for column, tensor in named.items()}
    return flat


def _read_units(tensors: Mapping[str, Tensor], number: int) -> DatasetUnits:
    def group(name: str) -> dict[str, Tensor]:
        prefix = f"{DATASETS}{number}.{name}."
        return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}

    shared = {name: group(name)[""] for name in ("action_shift", "action_scale", "low", "high")}
    return DatasetUnits(state_shift=group("state_shift"), state_scale=group("state_scale"), **shared)


def _read_statistics(path: Path, datasets: Sequence[str], checksums: Mapping[str, Any]) -> Statistics:
    tensors = load_tensors(path, checksums)
    _check_finite(tensors, str(path), "copy it again")
    try:
        units = {name: _read_units(tensors, number) for number, name in enumerate(datasets)}
    except (KeyError, TypeError) as error:  # jaxtyping raises TypeError for another shape
        raise ValueError(f"{path} lacks the units of {len(datasets)} datasets ({error!r}): copy it again") from error
    tensors = {name: tensor for name, tensor in tensors.items() if not name.startswith(DATASETS)}
    names = {name.rpartition(".")[0] for name in tensors}
    try:
        vectors = {
            name: VectorStatistics(
                **{
                    f.name: tensors[f"{name}.{f.name}"]
                    for f in fields(VectorStatistics)
                    if f.default is MISSING or f"{name}.{f.name}" in tensors
                }
            )
            for name in sorted(names)
        }
        actions = vectors.pop("actions")
    except KeyError as error:
        raise ValueError(f"{path} lacks {error.args[0]!r}: copy it again") from error
    relative = _of_group("relative_actions.", vectors)
    return Statistics(states=_of_group("states.", vectors), actions=actions, relative_actions=relative, datasets=units)


def _of_group(prefix: str, vectors: dict[str, VectorStatistics]) -> dict[str, VectorStatistics]:
    return {name.removeprefix(prefix): vector for name, vector in vectors.items() if name.startswith(prefix)}


def _check_finite(tensors: dict[str, Tensor], what: str, advice: str) -> None:
    bad = [name for name, tensor in tensors.items() if not tensor.isfinite().all()]
    if bad:
        raise ValueError(
            f"{what} has NaN or infinite values in {', '.join(bad[:3])} ({len(bad)} of {len(tensors)}): {advice}"
        )
