"""`astra inspect THING ...`: print a mask, policy sizes, a dataset, a checkpoint, or what a policy has learned."""

import json
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import tyro
from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from astra.cli.inspecting.gradient_interference import gradient_interference
from astra.cli.inspecting.open_loop import open_loop
from astra.cli.inspecting.tabletop import tabletop
from astra.cli.names import choose, first_line
from astra.cli.parse import parse
from astra.screen import screen
from astra.storage.numbers import Count, CountOrNone

Format = Literal["text", "json"]
LARGEST_MASK = 4096
"""Largest number of tokens of a mask that is printed."""


def mask(
    *,
    prompt: CountOrNone,
    states: Count,
    actions: Count,
    timesteps: Count,
    no_queries: bool = False,
    window: Count | None = None,
    format: Format = "text",
) -> None:
    """Print the attention mask: a row attends to the columns with a 1.

    Args:
        prompt: number of prompt tokens, L.
        states: number of state tokens per timestep, M.
        actions: number of action tokens per timestep, N.
        timesteps: number of timesteps, T.
        no_queries: leave out the action queries, as for encoding a trajectory.
        window: number of timesteps that a token may attend to, its own included, W. None: all earlier ones.
        format: text, or json: {"labels": [...], "matrix": [[...]]}.

    Raises:
        ValueError: if there are too many tokens.
    """
    from astra.attention.masks import trajectory_mask
    from astra.attention.segments import Kind, sequence_ids

    tokens = prompt + timesteps * (states + actions * (1 if no_queries else 2))
    if tokens > LARGEST_MASK:
        raise ValueError(
            f"--prompt {prompt}, --states {states}, --actions {actions} and --timesteps {timesteps} make {tokens:,} "
            f"tokens, expected at most {LARGEST_MASK:,}"
        )
    num_queries = 0 if no_queries else actions
    matrix = trajectory_mask(prompt, states, actions, timesteps, num_queries=num_queries, window=window).int().tolist()
    ids = sequence_ids(prompt, states, actions, timesteps, num_queries)
    letters = {Kind.PROMPT: "p", Kind.STATE: "s", Kind.QUERY: "q", Kind.ACTION: "a"}
    labels = []  # as in the paper, timesteps from 1: p1, or s2,1 for the second state token of the first timestep
    for kind, timestep, slot in zip(ids.kind.tolist(), ids.timestep.tolist(), ids.slot.tolist(), strict=True):
        labels.append(f"{letters[Kind(kind)]}{slot + 1}" + ("" if kind == Kind.PROMPT else f",{timestep + 1}"))
    if format == "json":
        print(json.dumps({"labels": labels, "matrix": matrix}))
        return
    width = max(map(len, labels))
    print(" " * width, *(f"{label:>{width}}" for label in labels))
    for label, row in zip(labels, matrix, strict=True):
        print(f"{label:>{width}}", *(f"{'1' if entry else '.':>{width}}" for entry in row))


def params(*, format: Format = "text") -> None:
    """Print the number of trunk parameters of every named size, beside the paper's.

    Args:
        format: text, or json: a list of {"name", "policy", "trunk_parameters", "paper"}.
    """
    from astra.policies.sizes import SIZES, trunk_parameters

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
    screen().print(table)


def dataset(folder: tyro.conf.Positional[Path], full: bool = False) -> None:
    """Print what a dataset holds, or which format recordings have and how to train on them.

    Args:
        folder: folder of the dataset, or its id on the Hugging Face Hub; or recordings in another format.
        full: decode every frame, hash every byte of the dataset and of its cache, print the checksum, and read again
            what differs from what was cached.
    """
    from astra.datasets import LeRobotDataset, describe
    from astra.datasets.importers.recognition import recognize_format
    from astra.datasets.lerobot.layout import INFO
    from astra.datasets.lerobot.metadata import read_metadata
    from astra.datasets.lerobot.verification import verify
    from astra.storage.hub import local_folder

    folder = local_folder(folder)
    if folder.exists() and not (folder / INFO).exists() and (found := recognize_format(folder)) is not None:
        source = shlex.quote(str(found.source))
        print(f"{folder} is a {found.what}. To convert it and to train on it:")
        print(f"astra convert {found.convert} {source} data/mine {found.options}".strip())
        print("astra train own-data --dataset data/mine")
        return
    verified = verify(folder, read_metadata(folder, None).files) if full else []
    opened = LeRobotDataset.open(folder, decode=False)
    if full and opened.recorded is not None:
        opened.recorded.check()
    _print_facts([*verified, *describe(opened)])


def checkpoint(path: tyro.conf.Positional[Path]) -> None:
    """Print the inputs, actions, parameters and configuration of a trained policy.

    Args:
        path: run folder, checkpoint or policy folder.
    """
    from astra.policies.checkpoint import load_policy, policy_folder

    policy = load_policy(path)
    config = json.loads((policy_folder(path) / "config.json").read_text())
    parts = {name: sum(p.numel() for p in module.parameters()) for name, module in policy.named_children()}
    _print_facts(
        [
            ("policy", str(policy_folder(path))),
            ("code version", str(config.get("code_version"))),
            ("suite", policy.spec.suite or "not known"),
            ("states", ", ".join(f"{name} ({size})" for name, size in policy.spec.states.items())),
            ("images", ", ".join(f"{name} {size}" for name, size in policy.spec.images.items()) or "none"),
            ("actions", ", ".join(policy.spec.actions.names)),
            ("timesteps per second", f"{policy.spec.fps:g}"),
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
    "open-loop": open_loop,
    "gradient-interference": gradient_interference,
    "tabletop": tabletop,
}


def run(arguments: Sequence[str]) -> None:
    """Run the command.

    Raises:
        ValueError: if there is no such thing to inspect, or it is damaged.
        FileNotFoundError: if it is missing.
    """
    notes = {name: first_line(function.__doc__) for name, function in THINGS.items()}
    name = choose(arguments, "thing to inspect", "astra inspect THING ...; THING --help lists the options", notes)
    if name is not None:
        parse(THINGS[name], f"inspect {name}", arguments[1:])


def _print_facts(facts: Sequence[tuple[str, str]]) -> None:
    table = Table(box=None, show_header=False, pad_edge=False)
    for name, value in facts:
        table.add_row(Text(name), Text(value))
    screen().print(table)
