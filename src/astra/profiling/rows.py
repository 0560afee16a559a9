"""Cost of an update of each row of a table, relative to the row Astra.

    python -m astra.profiling.rows table4 --data data

CPU time of one thread on the table's demonstrations, rows in turn. `Row.cost` holds the measured ratios.
"""

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path

import torch

from astra.datasets import LeRobotDataset, Windows, compute_statistics
from astra.datasets.batches import BatchSampler
from astra.paper import TABLES
from astra.paper.table import Row, Settings, Table, experiment_of, obstacle
from astra.profiling.clock import in_turn, median_ratio, one_thread
from astra.profiling.contenders import in_bfloat16
from astra.profiling.contrast import update_by
from astra.training.train import split_batch
from astra.trajectory import Trajectory

REFERENCE = "astra"
"""Row to which others are relative; in tables without it, their reference."""


def costs(table: Table, data: Path, rounds: int = 20) -> Mapping[str, float]:
    """Return the median CPU time of an update of each row that can be run at CPU scale, relative to Astra.

    Raises:
        FileNotFoundError: if the table's demonstrations are missing.
    """
    settings = table.settings_at("cpu")
    rows = [row for row in table.rows if not obstacle(row, "cpu")]
    with one_thread():
        sides = {row.key: _update(row, settings, data) for row in rows}
        seconds = in_turn(sides, rounds, label=f"updates of {table.name}")
    reference = REFERENCE if REFERENCE in seconds else table.reference or rows[0].key
    return {key: median_ratio(taken, seconds[reference]) for key, taken in seconds.items()}


def _update(row: Row, settings: Settings, data: Path) -> Callable[[], None]:
    """Build a function that trains a row for one update, on batches in the order of its training."""
    experiment = experiment_of(row, "cpu", settings, 0, data)
    training = experiment.training
    dataset = LeRobotDataset.open(
        experiment.dataset,
        experiment.observations or None,
        experiment.policy.states.reads,
        frame_size=experiment.policy.frame_size,
    )
    windows = Windows(
        dataset,
        timesteps=training.timesteps,
        chunk_size=experiment.policy.chunk_size,
        stride=experiment.stride,
        ending=training.last_timestep_only,
    )
    torch.manual_seed(0)
    statistics = compute_statistics(
        dataset, reference_state=experiment.policy.reference_state, chunk_size=experiment.policy.chunk_size
    )
    policy = experiment.policy.build(windows.spec, statistics)
    sampler = BatchSampler(len(windows), training.batch_size, seed=0)

    def batches() -> list[Trajectory]:
        return [windows.batch(part) for part in split_batch(windows, next(sampler), training)]

    update = update_by(policy, batches, training.contrastive, training.augmentation)
    return in_bfloat16(update) if training.precision == "bfloat16" else update


def main() -> None:
    """Print the relative cost of every row of a table."""
    parser = argparse.ArgumentParser(
        prog="python -m astra.profiling.rows",
        description="Print the cost of an update of each row, relative to the row Astra.",
    )
    parser.add_argument("table", choices=[name for name, make in TABLES.items() if "cpu" in make().settings])
    parser.add_argument("--data", type=Path, default=Path("data"), help="folder of datasets")
    parser.add_argument("--rounds", type=int, default=20, help="times that each row is timed")
    chosen = parser.parse_args()
    if chosen.rounds < 1:
        parser.error(f"--rounds must be at least 1, got {chosen.rounds}")
    for key, cost in costs(TABLES[chosen.table](), chosen.data, chosen.rounds).items():
        print(f"{key:28s} {cost:.2f}")


if __name__ == "__main__":
    main()
