"""The file `held_out/held_out.json` of a run: a policy's actions along held-out episodes, beside baselines.

`astra.analysis.held_out` writes it, and the report shows it.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from astra.evaluation.eval_info import ESTIMATE
from astra.evaluation.json_shape import ANY_NAME, read_json

FOLDER, FILE_NAME = "held_out", "held_out.json"
POLICY, LAST_ACTION, MEAN_ACTION = "policy", "repeat the last action", "mean action"
"""Names of what predicts the actions: the policy, and two baselines that see no observation."""
BASELINES = (LAST_ACTION, MEAN_ACTION)
ERRORS = dict.fromkeys((POLICY, *BASELINES), ESTIMATE)
SHAPE = {
    "checkpoint": str,
    "dataset": str,
    "episodes": int,
    "held_out_episodes": int,
    "timesteps": int,
    "n_action_steps": int,
    "temperature": float,
    "dimensions": [{"name": str, "errors": ERRORS}],
    "all": ERRORS,
    "differences": dict.fromkeys(BASELINES, ESTIMATE),
    "each": [{"scaled": dict.fromkeys((POLICY, *BASELINES), float), "errors": {ANY_NAME: [float]}}],
    "shown": [
        {"episode": int, "choice": str, "instruction": str, "error": float, "plot": str, "frames": {ANY_NAME: str}}
    ],
}
"""Fields of the file. `all` holds errors as shares of the dimensions' ranges, averaged over the dimensions that vary;
`differences` holds the policy's minus the baseline's, episode by episode. `each` holds the errors of every episode:
`scaled` as in `all`, `errors` in the order of `dimensions`. Newer files also have `seen_in_training`: whether the run
held out nothing, so that the episodes are those of the training; see `episodes_of`."""


def read_held_out(path: Path) -> dict[str, Any]:
    """Read the file.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is damaged or lacks a field.
    """
    return read_json(path, SHAPE, "remove its folder and write it again, with astra report RUN")


def episodes_of(held_out: Mapping[str, Any]) -> str:
    """Return the word for the episodes of the file: "held-out", or "training" if the run held out nothing."""
    return "training" if held_out.get("seen_in_training") is True else "held-out"
