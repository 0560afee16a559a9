"""Held-out episodes of several training seeds, put together: each seed has held out episodes of its own.

runs/NAME/SEED/held_out/    predictions of each seed's policy, as of any run
runs/NAME/held_out/         held_out.json over all seeds, with intervals over seeds and their episodes
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np

from astra.evaluation.held_out_info import BASELINES, FILE_NAME, FOLDER, POLICY, read_held_out
from astra.evaluation.statistics import nested_bootstrap
from astra.evaluation.success import bootstrap_interval
from astra.policies.decoding import Decoding
from astra.storage.atomic import write_atomic
from astra.storage.json_checksum import checked_json

PREDICTORS = (POLICY, *BASELINES)
DECODING = tuple(field.name for field in fields(Decoding))
"""Fields that say how the policy acted; files of older versions lack some."""


def aggregate_held_out(runs: Mapping[int, Path], folder: Path) -> Path | None:
    """Write held_out.json over all seeds into a folder, and return its path; None if no seed has any.

    Raises:
        FileNotFoundError: if only some seeds have one.
        ValueError: if one is damaged.
    """
    places = {seed: run / FOLDER / FILE_NAME for seed, run in runs.items()}
    missing = [str(place) for place in places.values() if not place.exists()]
    if len(missing) == len(places):
        return None
    if missing:
        raise FileNotFoundError(f"{', '.join(missing)} does not exist: write it with astra report of the folder")
    info = over_seeds({seed: read_held_out(place) for seed, place in places.items()})
    return write_atomic(folder / FILE_NAME, checked_json(info, allow_nan=False).encode())


def over_seeds(infos: Mapping[int, Mapping[str, Any]]) -> dict[str, Any]:
    """Return the contents of held_out.json over several training seeds from those of each seed."""
    all_infos = list(infos.values())
    names = [dimension["name"] for dimension in all_infos[0]["dimensions"]]
    shared = [name for name in names if all(name in _names(info) for info in all_infos)]
    scaled = {name: [_scaled(info, name) for info in all_infos] for name in PREDICTORS}
    first = all_infos[0]
    return {
        "checkpoint": ", ".join(dict.fromkeys(info["checkpoint"] for info in all_infos)),
        "dataset": first["dataset"],
        **{name: sum(info[name] for info in all_infos) for name in ("episodes", "held_out_episodes", "timesteps")},
        "seen_in_training": first.get("seen_in_training", False),
        **{name: first[name] for name in DECODING if name in first},
        "dimensions": [
            {
                "name": name,
                "errors": {
                    who: _estimate([_errors(info, who, _names(info).index(name)) for info in all_infos])
                    for who in PREDICTORS
                },
            }
            for name in shared
        ],
        "all": {name: _estimate(values) for name, values in scaled.items()},
        "differences": {
            name: _estimate([ours - theirs for ours, theirs in zip(scaled[POLICY], scaled[name], strict=True)])
            for name in BASELINES
        },
        "each": [row for info in all_infos for row in info["each"]],
        "shown": [_median(seed, info) for seed, info in infos.items()],
        "training_seeds": [
            {"seed": seed, **{name: info[name] for name in ("episodes", "all", "differences")}}
            for seed, info in infos.items()
        ],
    }


def _median(seed: int, info: Mapping[str, Any]) -> dict[str, Any]:
    """Return the entry of a seed's episode with the median error, with paths from the folder of all seeds."""
    shown = next((row for row in info["shown"] if row["choice"] == "median error"), info["shown"][0])
    there = f"../{seed}/{FOLDER}"
    return {
        **shown,
        "choice": f"training seed {seed}, {shown['choice']}",
        "among": info["episodes"],
        "plot": f"{there}/{shown['plot']}",
        "frames": {camera: f"{there}/{frames}" for camera, frames in shown["frames"].items()},
    }


def _names(info: Mapping[str, Any]) -> list[str]:
    return [dimension["name"] for dimension in info["dimensions"]]


def _scaled(info: Mapping[str, Any], who: str) -> np.ndarray:
    return np.array([row["scaled"][who] for row in info["each"]])


def _errors(info: Mapping[str, Any], who: str, dimension: int) -> np.ndarray:
    return np.array([row["errors"][who][dimension] for row in info["each"]])


def _estimate(values: Sequence[np.ndarray]) -> dict[str, float]:
    """Estimate a mean over seeds and their episodes; over episodes alone where there is one seed."""
    return asdict(nested_bootstrap(values) if len(values) > 1 else bootstrap_interval(values[0]))
