"""`astra export CHECKPOINT`: the cached control step as a program that runs without this library."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import tyro

from astra.cli.parse import parse
from astra.policies.checkpoint import load_policy
from astra.serving.control_step import ControlStep
from astra.serving.export import (
    export_program,
    largest_difference,
    onnx_program,
    save_onnx,
    save_program,
    save_prompts,
)
from astra.storage.atomic import atomic_folder

TOLERANCE = 1e-4
"""Largest difference of the head's outputs that passes, as a share of them."""
MOST_PROMPTS = 100


@dataclass(frozen=True, kw_only=True)
class Export:
    """Write the cached control step of a policy as a torch.export program, and as ONNX, checked against the policy."""

    checkpoint: tyro.conf.Positional[Path]
    """A run, one of its checkpoints, or a policy's folder."""
    output: Path
    """The new folder: control_step.pt2, control_step.onnx, prompts.safetensors and control_step.json."""
    timesteps: int | None = None
    """Timesteps that the cache has room for; 300 by default. A policy with a window has a cache of its size."""
    onnx: bool = False
    """Whether ONNX is written too; needs the extra `export`."""
    instructions: tuple[str, ...] = ()
    """Prompts that are read beforehand; those of the dataset by default."""


def run(arguments: Sequence[str]) -> None:
    """Run the command.

    Raises:
        FileExistsError: if the folder is there already.
        FileNotFoundError: if there is no policy.
        ImportError: if ONNX is asked for and the extra is missing.
        ValueError: if the policy cannot be exported, or a program differs from it.
    """
    chosen = parse(Export, "export", arguments)
    policy = load_policy(chosen.checkpoint).exportable()
    instructions = chosen.instructions or policy.spec.instructions
    if len(instructions) > MOST_PROMPTS:
        raise ValueError(
            f"the dataset has {len(instructions)} instructions, at most {MOST_PROMPTS} are read beforehand: "
            "name some with --instructions"
        )
    step = ControlStep(policy, chosen.timesteps)
    with atomic_folder(chosen.output) as folder:
        program = export_program(step)
        save_program(program, folder)
        print(f"control_step.pt2: {_check(*largest_difference(step, program.module()))}")
        if chosen.onnx:
            path = save_onnx(step, program, folder)
            print(f"control_step.onnx: {_check(*largest_difference(step, onnx_program(path)))}")
        save_prompts(step, instructions, folder)
    print(f"exported: {chosen.output}")


def _check(difference: float, steps: int) -> str:
    if not difference <= TOLERANCE:
        raise ValueError(f"the exported program differs from the policy by {difference:.1e}, more than {TOLERANCE:.0e}")
    return f"equals the policy over {steps} control steps, within {difference:.0e}"
