"""Check of Astra on a GPU, in at most four minutes, with whatever is installed.

    make gpu-check PYTHON=/path/to/python      or      python -m astra.profiling.gpu_check

Kernels against the dense form, training in bfloat16, a start of several processes, an exported control step, and the
speed of the paper's sizes. Without a GPU it says so and ends well.
"""

import atexit
import contextlib
import functools
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import numpy as np
import torch
from torch import Tensor, nn

from astra.policies.sizes import astra_19m, astra_38m, astra_43m, astra_198m
from astra.profiling.contenders import astra_outputs, naive_outputs
from astra.profiling.lower_bound import minimum_operations
from astra.profiling.shapes import Shape

LIMIT = 235.0
"""Seconds after which a check is ended, and further ones fail; a call that never returns to Python is not ended."""
TOLERANCE = {torch.float32: 2e-4, torch.bfloat16: 5e-2}
"""Largest error of outputs and gradients, relative to the largest value of the dense form in float32."""
PEAK = {"A100": 312e12, "H100": 989e12, "H200": 989e12, "RTX 4090": 165e12, "L40S": 362e12}
"""FLOP/s of GPUs in dense bfloat16. Source: NVIDIA's data sheets."""
SIZES = {"19M": astra_19m, "38M": astra_38m, "43M": astra_43m, "198M": astra_198m}
"""The paper's sizes."""
SMALL, LONG = Shape(T=2, B=8, layers=2), Shape(T=50, B=4, layers=2)
"""A shape of packed rows, and one of so many rows that a GPU uses FlexAttention."""


def _pair(shape: Shape, device: str) -> tuple[nn.Module, Callable[[], Tensor], nn.Module, Callable[[], Tensor]]:
    """Build the fast trunk and its dense form with equal weights, and the functions of their query outputs."""
    torch.manual_seed(0)
    trunk, fast = astra_outputs(shape, device)
    torch.manual_seed(0)
    plain, slow = naive_outputs(shape, device)
    return trunk, fast, plain, slow


def check_kernels(device: str, dtype: torch.dtype = torch.float32) -> str:
    """Compare outputs and gradients of the fast kernels with the dense form in float32.

    Raises:
        ValueError: if they differ by more than `TOLERANCE`.
        UserWarning: if FlexAttention cannot run: it would give way to the dense form, which equals itself.
    """
    found = []
    for name, shape in (("short", SMALL), ("long", LONG)):
        trunk, fast, plain, slow = _pair(shape, device)
        expected = slow()
        expected.square().mean().backward()
        with torch.autocast(device, dtype, enabled=dtype != torch.float32):
            outputs = fast().float()
        outputs.square().mean().backward()
        error = max(_error(outputs, expected), _error(_gradients(trunk), _gradients(plain)))
        if not error <= TOLERANCE[dtype]:
            raise ValueError(f"{name} sequences differ by {error:.1e}, more than {TOLERANCE[dtype]:.0e}")
        found.append(f"{name} within {error:.0e}")
    return f"outputs and gradients equal the dense form: {', '.join(found)}"


def _gradients(module: nn.Module) -> Tensor:
    """Return the gradients of all weights in one vector, sorted by the names of the weights."""
    weights = sorted(module.named_parameters())
    return torch.cat(
        [torch.zeros_like(each).flatten() if each.grad is None else each.grad.flatten() for _, each in weights]
    )


def _error(ours: Tensor, theirs: Tensor) -> float:
    """Return the largest error, relative to the largest value."""
    return float(((ours - theirs).abs().max() / theirs.abs().max()).detach())


def check_flex(device: str) -> str:
    """Time long sequences with the kernel that this device uses, against the dense form.

    Raises:
        ValueError: if a GPU does not use FlexAttention.
        UserWarning: if FlexAttention cannot run.
    """
    from astra.attention.kernels import flex

    _, fast, _, slow = _pair(LONG, device)
    before = flex.compiled_flex_attention.cache_info().currsize
    ratio = _seconds(slow, device) / _seconds(fast, device)
    if device == "cuda" and not max(before, flex.compiled_flex_attention.cache_info().currsize):
        raise ValueError("FlexAttention was not used on the GPU")
    return f"compiled; forward pass {ratio:.2f} times as fast as the dense form"


def _seconds(function: Callable[[], object], device: str, repeats: int = 10) -> float:
    """Return the seconds of one call, after three calls that warm up."""
    wait = torch.cuda.synchronize if device == "cuda" else lambda: None
    for _ in range(3):
        function()
    wait()
    begun = time.perf_counter()
    for _ in range(repeats):
        function()
    wait()
    return (time.perf_counter() - begun) / repeats


@functools.cache
def _demonstrations() -> Path:
    """Write demonstrations of a point that moves toward a goal, and return their folder."""
    from astra.datasets import DatasetWriter, Episode

    made = tempfile.mkdtemp(prefix="astra-gpu-check-")
    atexit.register(shutil.rmtree, made, ignore_errors=True)
    folder = Path(made) / "data"
    random = np.random.default_rng(0)
    with DatasetWriter(folder, fps=10.0) as writer:
        for _ in range(32):
            start, goal = random.uniform(-1, 1, (2, 2))
            path = start + np.linspace(0, 1, 13)[:, None] * (goal - start)
            states = np.hstack([path[:-1], np.tile(goal, (12, 1))]).astype(np.float32)
            columns = {"observation.state": states, "action": np.diff(path, axis=0).astype(np.float32)}
            writer.add(Episode(instruction="go to the goal", columns=columns, fps=10.0))
    return folder


def _train(output: Path, precision: str, updates: int, launcher: tuple[str, ...] = ("-m", "astra")) -> list[float]:
    """Train a small policy by the command line, and return the losses of its updates."""
    import json

    flags = f"--training.precision {precision} --training.updates {updates} --training.batch-size 64"
    flags += " --training.log-every 1 --training.validation-every 1000 --training.checkpoint-every 1000"
    command = [sys.executable, *launcher, "train", "own-data", "--dataset", str(_demonstrations())]
    _run([*command, "--output", str(output), *flags.split()])
    lines = [json.loads(line) for line in (output / "metrics.jsonl").read_text().splitlines()]
    return [line["train/loss"] for line in lines if "train/loss" in line]


def _run(command: list[str]) -> None:
    """Run a command in a session of its own, and end all its processes with it.

    Raises:
        ValueError: if it fails; the message has the end of what it said.
    """
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment,
        start_new_session=True,
    ) as process:
        try:
            said, _ = process.communicate(timeout=100)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    if process.returncode:
        raise ValueError(f"training ended with code {process.returncode}: {said[-600:]}")


def check_bfloat16(device: str, updates: int = 50) -> str:
    """Compare the losses of a training in bfloat16 with one in float32.

    Raises:
        ValueError: if the means over the last ten updates differ by more than 5 %, or the loss does not fall.
    """
    runs = _demonstrations().parent
    exact, half = (_train(runs / name, name, updates) for name in ("float32", "bfloat16"))
    last, ours = np.mean(exact[-10:]), np.mean(half[-10:])
    if not ours < half[0] or not abs(ours / last - 1) < 0.05:
        raise ValueError(f"loss {half[0]:.3f} -> {ours:.3f} in bfloat16, {exact[0]:.3f} -> {last:.3f} in float32")
    return f"after {updates} updates the loss is {ours:.3f}, in float32 {last:.3f}"


def check_processes(device: str) -> str:
    """Start a training with one process per GPU: by accelerate where there are several, else by torchrun.

    Started by torchrun, a single process averages its gradients over all processes too.

    Raises:
        ValueError: if it fails.
    """
    count = torch.cuda.device_count() if device == "cuda" else 1
    launch = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "1")
    if count > 1:
        launch = ("-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", str(count))
        launch += ("--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no")
    losses = _train(_demonstrations().parent / "processes", "auto", 4, (*launch, "-m", "astra"))
    return f"{count} process{'es' if count > 1 else ''} trained {len(losses)} updates"


def check_export(device: str) -> str:
    """Export the control step of the policy that `check_bfloat16` trained, and compare it with the policy.

    Raises:
        ValueError: if the exported program differs.
    """
    from astra.policies.checkpoint import load_policy
    from astra.serving.control_step import ControlStep
    from astra.serving.export import export_program, largest_difference

    policy = load_policy(_demonstrations().parent / "float32").exportable()
    step = ControlStep(policy, None)
    error, steps = largest_difference(step, export_program(step).module())
    if not error <= 1e-4:
        raise ValueError(f"the exported program differs by {error:.1e}")
    return f"equals the policy over {steps} control steps, within {error:.0e}"


def check_speed(device: str, sizes: tuple[str, ...] = tuple(SIZES)) -> str:
    """Measure training updates per second in bfloat16 of the paper's trunks, and the share of the GPU's peak."""
    known = next((peak for name, peak in PEAK.items() if device == "cuda" and name in torch.cuda.get_device_name()), 0)
    found, B, T = list[str](), 64 if device == "cuda" else 2, Shape().T
    for size in sizes:
        config = SIZES[size]()
        shape = Shape(B=B, layers=config.layers, heads=config.heads, width=config.width)
        trunk, fast, plain, _ = _pair(shape, device)
        del plain
        optimizer = torch.optim.AdamW(trunk.parameters(), lr=1e-4, fused=True)
        seconds = _seconds(functools.partial(_update, fast, optimizer, device), device)
        share = f", {minimum_operations(shape) / seconds / known:.0%} of the peak" if known else ""
        found.append(f"{size} {1 / seconds:.1f}/s{share}")
    return f"updates of {B} windows of {T} timesteps: {'; '.join(found)}"


def _update(outputs: Callable[[], Tensor], optimizer: torch.optim.Optimizer, device: str) -> None:
    with torch.autocast(device, torch.bfloat16):
        loss = outputs().float().square().mean()
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()


CHECKS: dict[str, Callable[[str], str]] = {
    "kernels, float32": check_kernels,
    "kernels, bfloat16": functools.partial(check_kernels, dtype=torch.bfloat16),
    "FlexAttention": check_flex,
    "training, bfloat16": check_bfloat16,
    "processes": check_processes,
    "export": check_export,
    "speed": check_speed,
}
"""Checks by name: each returns what it found, or raises."""


def _end(*_: object) -> NoReturn:
    """End the present check."""
    raise TimeoutError(f"{LIMIT:.0f} seconds are over")


def main() -> None:
    """Run all checks on the GPU; the exit code is 1 if one fails."""
    if not torch.cuda.is_available():
        print(f"no GPU is visible to torch {torch.__version__}: nothing was checked")
        return
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}", flush=True)
    begun, failed = time.monotonic(), 0
    warnings.filterwarnings("error", "FlexAttention does not run here")
    signal.signal(signal.SIGALRM, _end)
    for name, check in CHECKS.items():
        try:
            left = LIMIT + begun - time.monotonic()
            if left <= 0:
                _end()
            signal.setitimer(signal.ITIMER_REAL, left)
            print(f"ok        {name}: {check('cuda')}", flush=True)
        except Exception as error:
            failed += 1
            print(f"FAILED    {name}: {type(error).__name__}: {error}", flush=True)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    print(f"{len(CHECKS) - failed} of {len(CHECKS)} without a failure in {time.monotonic() - begun:.0f} seconds")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
