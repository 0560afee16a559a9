"""Control step of Astra (19M): against recomputation, against other decoders, and by length of history."""

import statistics
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch

from astra.profiling.clock import in_turn, one_thread
from astra.profiling.control_steps import (
    Step,
    astra_step,
    autoregressive_step,
    diffusion_step,
    full_recompute_step,
    hugging_face_step,
    last_queries_recompute_step,
    make_trunk,
)
from astra.profiling.exported_step import LEFT_OUT, can_export, policy_steps
from astra.profiling.observation_check import check_ratios
from astra.profiling.shapes import Curve, Measurement, Ratio, Shape
from astra.profiling.training import fit_exponent

SIZES = (2, 10, 20, 50, 100, 500)
"""Timesteps of history that are measured."""
WINDOW = 16


@torch.no_grad()
def benchmark_inference(shape: Shape, rounds: int = 3) -> Measurement:
    """Time control steps in turn; ours is timed several times per round, because it is short."""
    with one_thread():
        trunk = make_trunk(shape)
        at = {T: replace(shape, T=T) for T in SIZES}
        own = {T: astra_step(trunk, at[T]) for T in SIZES}
        windowed = {T: astra_step(trunk, at[T], WINDOW) for T in (10, 500)}
        short: dict[str, Step] = {
            **{f"ours T{T}": step for T, step in own.items()},
            **{f"window T{T}": step for T, step in windowed.items()},
            "gato": autoregressive_step(trunk, at[20]),
            "hugging face": hugging_face_step(at[20]),
            "gato T500": autoregressive_step(trunk, at[500]),
        }
        if can_export():
            short["policy"], short["exported"] = policy_steps(at[20])
        seconds = in_turn(short, 10 * rounds, label="control steps")
        long: dict[str, Step] = {
            "full T100": full_recompute_step(trunk, at[100]),
            "last T100": last_queries_recompute_step(trunk, at[100]),
            "full T50": full_recompute_step(trunk, at[50]),
            "last T50": last_queries_recompute_step(trunk, at[50]),
            "full T20": full_recompute_step(trunk, at[20]),
            "full T10": full_recompute_step(trunk, at[10]),
            "diffusion 10": diffusion_step(trunk, at[20], 10),
            "diffusion 100": diffusion_step(trunk, at[20], 100),
        }
        beside: dict[str, Callable[[], object]] = {f"beside T{T}": _repeat(own[T]) for T in (10, 20, 50, 100)}
        checks = check_ratios(shape, 20 * rounds)
        slow = in_turn({**beside, **long}, rounds, label="control steps of other decoders")

    name = "control step, T{}: {} / ours"

    def over(peer: str, T: int) -> float:
        return statistics.median(a / b * REPEATS for a, b in zip(slow[peer], slow[f"beside T{T}"], strict=True))

    def times(above: str, below: str) -> float:
        return statistics.median(seconds[above]) / statistics.median(seconds[below])

    hugging_face = f"Hugging Face GPT-2 generation with KV cache, N{shape.N}"
    exported = []
    if "exported" in seconds:
        row = "control step of the policy, T20: eager / exported, ONNX Runtime in float32"
        exported = [Ratio(name=row, ratio=times("policy", "exported"), must=1.4, aim=1.8)]
    ratios = [
        Ratio(
            name=name.format(100, "full recomputation in the dense form"), ratio=over("full T100", 100), must=40, aim=60
        ),
        Ratio(name=name.format(50, "recomputation with the last queries"), ratio=over("last T50", 50), must=10, aim=15),
        Ratio(
            name=name.format(20, hugging_face) + ", exported where installed",
            ratio=times("hugging face", "exported" if "exported" in seconds else "ours T20"),
            must=3.5,
            aim=5.5,
        ),
        Ratio(
            name=name.format(20, "100-step DDPM head on the same cached trunk"),
            ratio=over("diffusion 100", 20),
            must=40,
            aim=79,
        ),
        Ratio(
            name="control step latency, T500 / T10, no window",
            ratio=times("ours T500", "ours T10"),
            must=2.0,
            aim=1.3,
            better="lower",
        ),
        Ratio(
            name=f"control step latency, T500 / T10, window of {WINDOW}",
            ratio=times("window T500", "window T10"),
            must=1.15,
            aim=1.05,
            better="lower",
        ),
        *exported,
        *checks,
        Ratio(
            name=name.format(20, hugging_face) + ", eager",
            ratio=times("hugging face", "ours T20"),
        ),
        Ratio(name=name.format(20, "10-step DDPM head on the same cached trunk"), ratio=over("diffusion 10", 20)),
        Ratio(
            name=name.format(20, f"Gato on our trunk with KV cache, N{shape.N}"),
            ratio=times("gato", "ours T20"),
        ),
        Ratio(
            name=name.format(500, f"Gato on our trunk with KV cache, N{shape.N}"),
            ratio=times("gato T500", "ours T500"),
        ),
    ]
    ours = [seconds[f"ours T{T}"] for T in SIZES]
    full = [1e3 * statistics.median(slow[f"full T{T}"]) for T in (10, 20, 50, 100)]
    curves = [
        Curve(
            name="Astra with its cache",
            sizes=list(SIZES),
            values=[1e3 * statistics.median(values) for values in ours],
            highest=[1e3 * slowest(values) for values in ours],
            unit="ms of CPU time",
        ),
        Curve(name="full recomputation", sizes=[10, 20, 50, 100], values=full, unit="ms of CPU time"),
    ]
    exponents = ", ".join(
        f"{curve.name} {fit_exponent(sizes, values):.2f}"
        for curve in curves
        for sizes, values in [_between(curve, 10, 100)]
    )
    notes = [] if exported else [LEFT_OUT]
    notes += [f"growth exponents of the control step, T = 10 ... 100: {exponents}"]
    notes += [
        f"control step at T = {T}: median {1e3 * statistics.median(values):.1f} ms, "
        f"99th percentile {1e3 * slowest(values):.1f} ms of CPU time"
        for T, values in zip(SIZES, ours, strict=True)
    ]
    return Measurement(ratios=ratios, curves=curves, notes=notes)


REPEATS = 8
"""Steps of ours that are timed together beside one long step of another decoder."""


def _repeat(step: Step) -> Callable[[], object]:
    return lambda: [step() for _ in range(REPEATS)]


def _between(curve: Curve, low: int, high: int) -> tuple[list[int], list[float]]:
    pairs = [(size, value) for size, value in zip(curve.sizes, curve.values, strict=True) if low <= size <= high]
    return [size for size, _ in pairs], [value for _, value in pairs]


def slowest(values: list[float]) -> float:
    """Return the 99th percentile, which is one of the values."""
    return float(np.quantile(values, 0.99, method="higher"))
