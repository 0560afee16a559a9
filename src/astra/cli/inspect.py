"""`astra inspect THING ...`: print a mask, policy sizes, a dataset, a checkpoint, or what a policy has learned."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import tyro
from rich.box import SIMPLE_HEAD
from rich.table import Table

from astra.cli.inspecting.dataset import dataset
from astra.cli.inspecting.facts import print_facts
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


def checkpoint(path: tyro.conf.Positional[Path]) -> None:
    """Print the inputs, actions, parameters and configuration of a trained policy.

    Args:
        path: run folder, checkpoint or policy folder.
    """
    from astra.policies.checkpoint import load_policy, policy_folder

    policy, folder = load_policy(path), policy_folder(path)
    if folder.parent.is_symlink():  # checkpoints/last: name the checkpoint itself
        folder = folder.parents[1] / folder.parent.resolve().name / folder.name
    config = json.loads((folder / "config.json").read_text())
    seen = policy.spec.objects
    objects = (
        [("objects", f"at most {seen.max_objects} in each view: {', '.join(seen.views)}")]
        if seen and seen.max_objects
        else []
    )
    parts = {name: sum(p.numel() for p in module.parameters()) for name, module in policy.named_children()}
    parts |= {name: weight.numel() for name, weight in policy.named_parameters(recurse=False)}
    print_facts(
        [
            ("policy", str(folder)),
            ("code version", str(config.get("code_version"))),
            ("suite", policy.spec.suite or "not known"),
            ("states", ", ".join(f"{name} ({size})" for name, size in policy.spec.states.items())),
            ("images", ", ".join(f"{name} {size}" for name, size in policy.spec.images.items()) or "none"),
            *objects,
            ("actions", ", ".join(policy.spec.actions.names)),
            ("timesteps per second", f"{policy.spec.fps:g}"),
            ("parameters", f"{sum(parts.values()):,}"),
            *((f"parameters of {name}", f"{count:,}") for name, count in parts.items()),
            ("configuration", json.dumps(config["config"], indent=2)),
            ("instructions", "\n".join(policy.spec.instructions)),
        ]
    )


THINGS: dict[str, Callable[..., int | None]] = {
    "mask": mask,
    "params": params,
    "dataset": dataset,
    "checkpoint": checkpoint,
    "open-loop": open_loop,
    "gradient-interference": gradient_interference,
    "tabletop": tabletop,
}


def run(arguments: Sequence[str]) -> int:
    """Run the command and return its exit code: 1 if something is wrong in a dataset, otherwise 0.

    Raises:
        ValueError: if there is no such thing to inspect, or it is damaged.
        FileNotFoundError: if it is missing.
    """
    notes = {name: first_line(function.__doc__) for name, function in THINGS.items()}
    name = choose(arguments, "thing to inspect", "astra inspect THING ...; THING --help lists the options", notes)
    return 0 if name is None else parse(THINGS[name], f"inspect {name}", arguments[1:]) or 0
