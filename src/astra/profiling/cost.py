"""Estimate of the GPU hours of the paper's tables, printed with its assumptions.

    python -m astra.profiling.cost

FLOPs per sample follow from the sizes. The paper states epochs only; the numbers of samples, timesteps and tokens are
public facts about the benchmarks or our guesses (WORKLOADS says which). The share of a GPU's peak that training
reaches is assumed; the estimate also prints the share of matrix-product speed that our update reaches on this machine.
"""

import statistics
import time
from dataclasses import dataclass

import torch
from rich.box import SIMPLE_HEAD
from rich.table import Table

from astra.policies.astra import AstraConfig
from astra.policies.sizes import astra_19m, astra_38m, astra_43m, astra_198m
from astra.profiling.contenders import make_update
from astra.profiling.lower_bound import minimum_operations
from astra.profiling.shapes import Shape
from astra.screen import screen

PEAK = 989e12
"""FLOP/s of an NVIDIA H100 SXM in dense bfloat16. Source: its data sheet."""
UTILIZATION = 0.3, 0.1
"""Assumed shares of the peak: optimistic, as of large transformers, and cautious, as of small ones."""
EFFICIENCY = {1: 1.0, 8: 0.9, 64: 0.75}
"""Assumed speed per GPU by number of GPUs, since gradients are averaged at every update."""


@dataclass(frozen=True, kw_only=True)
class Workload:
    """One training run of a table."""

    table: str
    policy: AstraConfig
    samples: int
    """Training samples per epoch."""
    epochs: float
    L: int
    M: int
    N: int
    T: int
    encoder: float
    """FLOPs of a forward pass of the image encoder per sample."""
    encoder_passes: float
    """Forward passes that an update of the encoder costs: 3 if it is trained, 0 if it is frozen and cached."""
    assumed: str
    """Sources of the numbers."""


WORKLOADS = (
    Workload(
        table="1, VIMA-Bench",
        policy=astra_38m(),
        samples=650_000,
        epochs=10,
        L=32,
        M=12,
        N=12,
        T=3,
        encoder=0.28e9 * 12 * 3,
        encoder_passes=3,
        assumed="650K trajectories (VIMA's paper), 10 epochs (paper); 3 timesteps of 12 object crops through VIMA's "
        "small ViT, trained, and 12 action dimensions are guesses",
    ),
    Workload(
        table="2, ManiSkill",
        policy=astra_198m(),
        samples=15_000,
        epochs=5,
        L=16,
        M=3,
        N=7,
        T=100,
        encoder=8.2e9 * 2 * 100,
        encoder_passes=3,
        assumed="15 tasks and 5 epochs (paper); 1,000 demonstrations a task, whole trajectories of 100 timesteps and "
        "two cameras through a trained ResNet-50 at 224 pixels are guesses",
    ),
    Workload(
        table="3, CALVIN ABC to D",
        policy=astra_38m(),
        samples=1_000_000,
        epochs=20,
        L=16,
        M=19,
        N=7,
        T=10,
        encoder=35e9 * 2 * 10,
        encoder_passes=0,
        assumed="20 epochs (paper); windows of 10 timesteps and 9 latents a view as in public training code of GR-1; "
        "18,000 annotated segments of 55 windows are a guess; frozen MAE ViT-B, cached: its one pass is not counted",
    ),
    Workload(
        table="5, Franka Kitchen",
        policy=astra_43m(),
        samples=128_000,
        epochs=50,
        L=1,
        M=1,
        N=9,
        T=50,
        encoder=0,
        encoder_passes=0,
        assumed="566 demonstrations, 128,000 timesteps (public dataset); epochs, windows of 50 timesteps and state "
        "vectors instead of pictures are guesses",
    ),
    Workload(
        table="6, Push-T",
        policy=astra_19m(),
        samples=25_650,
        epochs=125,
        L=6,
        M=2,
        N=2,
        T=50,
        encoder=0,
        encoder_passes=0,
        assumed="206 demonstrations, 25,650 timesteps (public dataset); windows and updates of our pusht-human-19m",
    ),
)


def trunk_flops(policy: AstraConfig, L: int, M: int, N: int, T: int) -> float:
    """Count the FLOPs that a forward pass of the trunk on one sample cannot avoid."""
    shape = Shape(L=L, M=M, N=N, T=T, B=1, layers=policy.layers, heads=policy.heads, width=policy.width)
    return minimum_operations(shape) / 3  # an update costs three forward passes


def training_flops(workload: Workload) -> float:
    """Count the FLOPs of one training run; a backward pass costs two forward passes."""
    trunk = 3 * trunk_flops(workload.policy, workload.L, workload.M, workload.N, workload.T)
    return workload.samples * workload.epochs * (trunk + workload.encoder_passes * workload.encoder)


def hours(flops: float, gpus: int, utilization: float) -> float:
    """Estimate the hours of a training run on a number of GPUs."""
    return flops / (gpus * EFFICIENCY[gpus] * utilization * PEAK) / 3600


def measured_utilization(rounds: int = 3) -> float:
    """Measure our update's share of the speed of large matrix products, on one thread of this machine."""
    torch.set_num_threads(1)
    shape = Shape(B=4)
    update, left, right = make_update("astra", shape), torch.randn(2048, 512), torch.randn(512, 2048)
    flops = 3 * shape.B * trunk_flops(astra_19m(), shape.L, shape.M, shape.N, shape.T)
    shares = []
    for number in range(rounds + 1):
        begun = time.process_time()
        for _ in range(20):
            torch.matmul(left, right)
        products = 20 * 2 * 2048 * 512 * 2048 / (time.process_time() - begun)
        begun = time.process_time()
        update()
        if number:  # the first one warms up
            shares.append(flops / (time.process_time() - begun) / products)
    return statistics.median(shares)


def main() -> None:
    """Print the estimate."""
    console = screen()
    console.print(
        "one training run: one row of the table, one seed, behavior cloning without contrastive dynamics learning"
    )
    columns = [f"{gpus} GPU{'s' * (gpus > 1)}, hours" for gpus in EFFICIENCY]
    table = Table("table", "exaFLOPs", *columns, box=SIMPLE_HEAD, pad_edge=False)
    for workload in WORKLOADS:
        flops = training_flops(workload)
        spans = [" to ".join(f"{hours(flops, gpus, share):.2g}" for share in UTILIZATION) for gpus in EFFICIENCY]
        table.add_row(workload.table, f"{flops / 1e18:.3g}", *spans)
    console.print(table)
    for workload in WORKLOADS:
        console.print(f"table {workload.table}: {workload.assumed}", soft_wrap=True)
    assumed = " to ".join(f"{share:.0%}" for share in UTILIZATION)
    console.print(
        f"assumed: NVIDIA H100, {PEAK / 1e12:.0f} TFLOP/s in dense bfloat16, of which training reaches {assumed}; "
        f"per GPU {', '.join(f'{share:.0%} on {gpus}' for gpus, share in EFFICIENCY.items())}",
        soft_wrap=True,
    )
    console.print(
        f"measured: on one thread here an update of Astra (19M) reaches {measured_utilization():.0%} of the speed of "
        f"large matrix products",
        soft_wrap=True,
    )


if __name__ == "__main__":
    main()
