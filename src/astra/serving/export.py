"""Export of a policy to files that run without this library: `torch.export`, and ONNX if it is installed."""

import io
import json
import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from astra.serving.control_step import ControlStep, StepRunner, example_observation, initial_cache
from astra.storage.tensor_files import save_tensors

INPUTS = ("timestep", "previous_action", "prompt_valid", "keys", "values")
OUTPUTS = ("chunk", "predicted", "new_keys", "new_values")
COMPARED_STEPS = 20
"""Control steps for which an exported program is compared with the policy."""


def check_onnx() -> None:
    """Check that ONNX can be written and run.

    Raises:
        ImportError: if the extra `export` is not installed.
    """
    missing = [name for name in ("onnx", "onnxscript", "onnxruntime") if find_spec(name) is None]
    if missing:
        raise ImportError(
            f"ONNX needs the extra `export`, which lacks {', '.join(missing)} here: run pip install '.[export]' in "
            f"Astra's folder, or leave out --onnx"
        )


def export_program(step: ControlStep) -> torch.export.ExportedProgram:
    """Trace one control step."""
    runner = StepRunner(step, step, _any_instruction(step))
    with torch.no_grad():
        return torch.export.export(step, runner.inputs(example_observation(step.policy)), strict=False)


def save_program(program: torch.export.ExportedProgram, folder: Path) -> Path:
    """Write `control_step.pt2` and return its path."""
    path, file = folder / "control_step.pt2", io.BytesIO()
    torch.export.save(program, file)  # on a full disk, writing to a path would abort the process
    path.write_bytes(file.getbuffer())
    return path


def save_onnx(step: ControlStep, program: torch.export.ExportedProgram, folder: Path) -> Path:
    """Write `control_step.onnx` and return its path.

    Raises:
        ImportError: if the extra `export` is not installed.
    """
    check_onnx()
    path = folder / "control_step.onnx"
    names = [*INPUTS, *step.vectors, *step.cameras]
    with warnings.catch_warnings(), _errors_only(logging.getLogger("torch.onnx")):
        warnings.simplefilter("ignore")  # about deprecated parts of the exporter itself, and a missing torchvision
        exported = torch.onnx.export(program, input_names=names, output_names=list(OUTPUTS), dynamo=True, verbose=False)
    assert exported is not None
    exported.save(path, external_data=False)
    return path


@contextmanager
def _errors_only(logger: logging.Logger) -> Iterator[None]:
    """Let a logger and those below it report errors only."""
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


def onnx_program(path: Path) -> Callable[..., Sequence[Tensor]]:
    """Load an ONNX file into ONNX Runtime on one thread; the result is called like the control step.

    Raises:
        ImportError: if the extra `export` is not installed.
    """
    check_onnx()
    import onnxruntime  # pyright: ignore[reportMissingImports]

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    names = [node.name for node in session.get_inputs()]

    def run(*inputs: Tensor) -> list[Tensor]:
        feed = {name: tensor.numpy() for name, tensor in zip(names, inputs, strict=True)}
        return [torch.from_numpy(array) for array in session.run(None, feed)]

    return run


@torch.no_grad()
def largest_difference(step: ControlStep, program: Callable[..., Sequence[Tensor]]) -> tuple[float, int]:
    """Return the largest relative difference of the head's outputs between program and policy, and the steps compared.

    With a window, the comparison is long enough that every column of the cache is overwritten.
    """
    instruction = _any_instruction(step)
    runner, state = StepRunner(step, program, instruction), step.policy.start([instruction], [0])
    window, worst = step.policy.config.window, 0.0
    steps = min(COMPARED_STEPS, step.timesteps) if window is None else COMPARED_STEPS + window
    for t in range(steps):
        observation = example_observation(step.policy, seed=t)
        expected = step.policy.predict(state, observation)
        _, predicted = runner(observation)
        worst = max(worst, ((predicted - expected).abs().max() / expected.abs().max()).item())
    return worst, steps


def save_prompts(step: ControlStep, instructions: Sequence[str], folder: Path) -> None:
    """Write `prompts.safetensors`, the cached prompts, and `control_step.json`, a description of inputs and outputs."""
    prompts, sizes = {}, step.policy.sizes
    for number, instruction in enumerate(instructions):
        valid, keys, values = initial_cache(step, instruction)
        prompts |= {f"{number}.valid": valid.to(torch.uint8), f"{number}.keys": keys[:, :, :, : sizes.prompt]}
        prompts[f"{number}.values"] = values[:, :, :, : sizes.prompt]
    save_tensors(prompts, folder / "prompts.safetensors")
    inputs = StepRunner(step, step, instructions[0]).inputs(example_observation(step.policy))
    names = [*INPUTS, *step.vectors, *step.cameras]
    description: dict[str, Any] = {
        "inputs": {
            name: {"shape": list(tensor.shape), "dtype": str(tensor.dtype).removeprefix("torch.")}
            for name, tensor in zip(names, inputs, strict=True)
        },
        "outputs": list(OUTPUTS),
        "actions": list(step.policy.spec.actions.names),
        "timesteps": step.timesteps,
        "window": step.policy.config.window,
        "prompt_tokens": sizes.prompt,
        "state_tokens": sizes.state,
        "action_tokens": sizes.action,
        "timesteps_per_second": step.policy.spec.fps,
        "chunk_size": step.policy.config.chunk_size,
        "n_action_steps": step.policy.decoding.n_action_steps,
        "reference_state": step.policy.config.reference_state,
        "instructions": list(instructions),
    }
    (folder / "control_step.json").write_text(json.dumps(description, indent=2) + "\n")


def _any_instruction(step: ControlStep) -> str:
    return step.policy.spec.instructions[0]
