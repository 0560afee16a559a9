"""`astra inspect mask|params|dataset|checkpoint|choices|contrast|tabletop`: look at a thing."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import tyro
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from astra.attention.masks import trajectory_mask
from astra.attention.segments import Kind, TokenIds, sequence_ids
from astra.cli.inspect_choices import choices
from astra.cli.inspect_contrast import contrast
from astra.cli.inspect_tabletop import tabletop
from astra.cli.names import choose, first_line
from astra.cli.parse import parse
from astra.datasets import LeRobotDataset, describe
from astra.datasets.lerobot.metadata import readable_and_video_columns
from astra.policies.checkpoint import load_policy, policy_folder
from astra.policies.sizes import SIZES, trunk_parameters

Format = Literal["text", "json"]


def mask(
    *,
    prompt: int,
    states: int,
    actions: int,
    timesteps: int,
    no_queries: bool = False,
    window: int | None = None,
    format: Format = "text",
) -> None:
    """Print who may attend to whom: rows read, columns are read, 1 = may attend.

    Args:
        prompt: L, prompt tokens.
        states: M, state tokens per timestep.
        actions: N, action tokens per timestep.
        timesteps: T.
        no_queries: leave the action queries out, as for encoding.
        window: W, timesteps that a token may read back; all by default.
        format: text, or json: {"labels": [...], "matrix": [[...]]}.

    Raises:
        ValueError: if a size is not possible.
    """
    if prompt < 0 or min(states, actions, timesteps, 1 if window is None else window) < 1:
        raise ValueError(
            f"a mask needs states, actions, timesteps and window of at least 1 and prompt of at least 0, got "
            f"{states}, {actions}, {timesteps}, {window} and {prompt}"
        )
    num_queries = 0 if no_queries else actions
    ids = sequence_ids(prompt, states, actions, timesteps, num_queries)
    matrix = trajectory_mask(prompt, states, actions, timesteps, num_queries=num_queries, window=window).int().tolist()
    labels = _labels(ids)
    if format == "json":
        print(json.dumps({"labels": labels, "matrix": matrix}))
        return
    width = max(map(len, labels))
    print(" " * width, *(f"{label:>{width}}" for label in labels))
    for label, row in zip(labels, matrix, strict=True):
        print(f"{label:>{width}}", *(f"{'1' if entry else '.':>{width}}" for entry in row))


def params(*, format: Format = "text") -> None:
    """Print every named size's number of trunk parameters beside the paper's.

    Args:
        format: text, or json: a list of {"name", "policy", "trunk_parameters", "paper"}.
    """
    rows = [
        {
            "name": size.name,
            "policy": size.policy,
            "trunk_parameters": trunk_parameters(size.make()),
            "paper": size.paper,
        }
        for size in SIZES
    ]
    if format == "json":
        print(json.dumps(rows, indent=2))
        return
    table = Table(*rows[0], box=SIMPLE_HEAD, pad_edge=False)
    for row in rows:
        table.add_row(row["name"], row["policy"], f"{row['trunk_parameters']:,}", row["paper"] or "")
    Console().print(table)


def dataset(folder: tyro.conf.Positional[Path]) -> None:
    """Print what a dataset holds.

    Args:
        folder: the dataset.
    """
    readable, videos = readable_and_video_columns(folder)
    facts = describe(LeRobotDataset.open(folder, readable if videos else None))
    _print_facts([*facts, *((column, "video, which cannot be read yet") for column in videos)])


def checkpoint(path: tyro.conf.Positional[Path]) -> None:
    """Print what a trained policy is.

    Args:
        path: a run, one of its checkpoints, or a policy's folder.
    """
    policy = load_policy(path)
    config = json.loads((policy_folder(path) / "config.json").read_text())
    parts = {name: sum(p.numel() for p in module.parameters()) for name, module in policy.named_children()}
    _print_facts(
        [
            ("policy", str(policy_folder(path))),
            ("code version", str(config.get("code_version"))),
            ("states", ", ".join(f"{name} ({size})" for name, size in policy.spec.states.items())),
            ("images", ", ".join(f"{name} {size}" for name, size in policy.spec.images.items()) or "none"),
            ("actions", ", ".join(policy.spec.actions.names)),
            ("instructions", "; ".join(policy.spec.instructions)),
            *((f"parameters of {name}", f"{count:,}") for name, count in parts.items()),
            ("configuration", json.dumps(config["config"], indent=2)),
        ]
    )


THINGS: dict[str, Callable[..., None]] = {
    "mask": mask,
    "params": params,
    "dataset": dataset,
    "checkpoint": checkpoint,
    "choices": choices,
    "contrast": contrast,
    "tabletop": tabletop,
}


def run(arguments: Sequence[str]) -> None:
    """Run the command.

    Raises:
        ValueError: if there is no such thing to look at, or it is damaged.
        FileNotFoundError: if it is missing.
    """
    notes = {name: first_line(look) for name, look in THINGS.items()}
    name = choose(arguments, "thing to inspect", "astra inspect THING ...", notes)
    if name is not None:
        parse(THINGS[name], f"inspect {name}", arguments[1:])


def _labels(ids: TokenIds) -> list[str]:
    """Name tokens as the paper does, with timesteps from 1: p1, s2,1 (second state token of the first timestep)."""
    letters = {Kind.PROMPT: "p", Kind.STATE: "s", Kind.QUERY: "q", Kind.ACTION: "a"}
    labels = []
    for kind, timestep, slot in zip(ids.kind.tolist(), ids.timestep.tolist(), ids.slot.tolist(), strict=True):
        time = "" if kind == Kind.PROMPT else f",{timestep + 1}"
        labels.append(f"{letters[Kind(kind)]}{slot + 1}{time}")
    return labels


def _print_facts(facts: Sequence[tuple[str, str]]) -> None:
    table = Table(box=None, show_header=False, pad_edge=False)
    for name, value in facts:
        table.add_row(name, value)
    Console().print(table)
