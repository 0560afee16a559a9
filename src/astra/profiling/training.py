"""Training update of Astra (19M) against other implementations and the lower bound: CPU time of one thread."""

import math
import statistics
import time
from collections.abc import Callable
from dataclasses import replace

import torch

from astra.profiling.clock import in_turn, machine_is_idle, median_ratio, one_thread
from astra.profiling.contenders import CONTENDERS, in_bfloat16, make_update
from astra.profiling.lower_bound import matrix_operations_per_second, minimum_operations
from astra.profiling.shapes import Curve, Measurement, Ratio, Shape

PEER = "hugging-face-gpt2"


def benchmark_training(shape: Shape, rounds: int = 3) -> Measurement:
    """Time updates of all contenders in turn, and return the medians of the ratios."""
    idle = machine_is_idle()
    wide, long = shape, replace(shape, T=50, B=2)
    with one_thread():
        gemm: list[float] = []
        sides = {name: make_update(name, wide) for name in ("astra", PEER)}
        products = {"products": lambda: gemm.append(matrix_operations_per_second(wide))}
        seconds = in_turn({**sides, **products}, rounds, label=f"updates, {wide.where}")
        del sides
        reached = statistics.median(
            minimum_operations(wide) / rate / own for rate, own in zip(gemm[1:], seconds["astra"], strict=True)
        )
        ratios = [
            Ratio(name=_against(PEER, wide), ratio=median_ratio(seconds[PEER], seconds["astra"]), must=1.35, aim=1.5)
        ]
        others: dict[str, Callable[[], object]] = {name: make_update(name, long) for name in CONTENDERS}
        others["bfloat16"] = in_bfloat16(make_update("astra", long))
        seconds = in_turn(others, rounds, label=f"updates, {long.where}")
        del others
        against = {name: median_ratio(seconds[name], seconds["astra"]) for name in CONTENDERS}
        mixed = median_ratio(seconds["astra"], seconds["bfloat16"])
        ratios += [
            Ratio(name=_against(PEER, long), ratio=against[PEER], must=1.4, aim=1.7),
            Ratio(name=_against("our own dense form", long), ratio=against["naive-dense"], must=1.4, aim=1.7),
            Ratio(name=f"lower bound (matrix products) / ours, {wide.where}", ratio=reached, must=0.82, aim=0.92),
            Ratio(name=f"our update in float32 / in bfloat16, {long.where}", ratio=mixed),
        ]
        if "x-transformers" in against:
            ratios.append(Ratio(name=_against("x-transformers", long), ratio=against["x-transformers"]))
        curve, exponent = _growth(replace(shape, B=2), rounds)
        ratios.append(exponent)
    ratios.append(_all_threads(shape, rounds, idle=idle))
    notes = (
        []
        if "x-transformers" in CONTENDERS
        else ["x-transformers was not measured: run pip install '.[benchmark]' in Astra's folder"]
    )
    return Measurement(ratios=ratios, curves=[curve], notes=notes)


def _against(peer: str, shape: Shape) -> str:
    return f"update against {peer}, {shape.where}"


def _growth(shape: Shape, rounds: int) -> tuple[Curve, Ratio]:
    """Fit the growth of the update's time with T."""
    sizes = [10, 20, 50, 70, 100]
    sides = {str(T): make_update("astra", replace(shape, T=T)) for T in sizes}
    seconds = in_turn(sides, rounds, label="growth over T")
    medians = [statistics.median(seconds[str(T)]) for T in sizes]
    exponent = fit_exponent(sizes[2:], medians[2:])
    curve = Curve(name="update", sizes=sizes, values=[1e3 * value for value in medians], unit="ms of CPU time")
    return curve, Ratio(
        name="growth exponent of the update, T = 50 ... 100", ratio=exponent, must=1.35, aim=1.2, better="lower"
    )


def fit_exponent(sizes: list[int], values: list[float]) -> float:
    """Fit values = c size^k by least squares of the logarithms, and return k."""
    x, y = [math.log(size) for size in sizes], [math.log(value) for value in values]
    return statistics.linear_regression(x, y).slope


def _all_threads(shape: Shape, rounds: int, *, idle: bool) -> Ratio:
    """Compare wall-clock time on all threads; inconclusive unless the machine is idle."""
    name = f"{_against(PEER, shape)}, all {torch.get_num_threads()} threads, wall clock"
    if not idle:
        return Ratio(name=name, ratio=None)
    sides = {side: make_update(side, shape) for side in ("astra", PEER)}
    seconds = in_turn(sides, rounds, label="all threads", clock=time.perf_counter)
    return Ratio(name=name, ratio=median_ratio(seconds[PEER], seconds["astra"]))
