"""`astra export CHECKPOINT`: export the cached control step as a program that runs without Astra."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import tyro

from astra.cli.parse import parse
from astra.storage.numbers import Tokens, check_numbers

TOLERANCE = 1e-4
"""Largest accepted relative error of the exported program's outputs."""
MAX_PROMPTS = 100
"""Most prompts that are encoded into the export."""


@dataclass(frozen=True, kw_only=True)
class Export:
    """Export the cached control step as a torch.export program, and as ONNX, checked against the policy."""

    checkpoint: tyro.conf.Positional[Path]
    """Run folder, checkpoint or policy folder."""
    output: Path
    """New folder for control_step.pt2, control_step.onnx, prompts.safetensors and control_step.json."""
    statistics: str = ""
    """Dataset of a mixture that was trained with --statistics own, in whose units the policy observes and acts; empty:
    the first one."""
    timesteps: Tokens | None = None
    """Length of the cache in timesteps. None: 300, or the window of a policy that has one."""
    onnx: bool = False
    """Write ONNX too; needs the extra `export`."""
    instructions: tuple[str, ...] = ()
    """Instructions whose prompts are encoded in advance. Empty: those of the dataset."""

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            ValueError: if one is out of range; the message names its flag.
        """
        check_numbers(self, "")


def run(arguments: Sequence[str]) -> None:
    """Run the command.

    Raises:
        FileExistsError: if the output folder exists.
        FileNotFoundError: if there is no policy.
        ImportError: if ONNX is asked for and the extra is missing.
        ValueError: if the output is inside a dataset, the policy cannot be exported, or an exported program differs
            from it.
    """
    chosen = parse(Export, "export", arguments)

    from astra.policies.checkpoint import load_policy
    from astra.serving.control_step import ControlStep
    from astra.serving.export import (
        check_onnx,
        export_program,
        largest_difference,
        onnx_program,
        save_onnx,
        save_program,
        save_prompts,
    )
    from astra.storage.atomic import atomic_folder
    from astra.storage.places import check_new, check_place

    check_new(chosen.output)
    check_place(chosen.output, "choose another folder with --output")
    if chosen.onnx:
        check_onnx()
    policy = load_policy(chosen.checkpoint, statistics=chosen.statistics).exportable()
    instructions = chosen.instructions or policy.spec.instructions
    if len(instructions) > MAX_PROMPTS:
        raise ValueError(
            f"the dataset has {len(instructions)} instructions, and at most {MAX_PROMPTS} prompts can be exported: "
            "choose some with --instructions"
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
