"""Your own demonstrations, with a small policy to start from.

astra convert FORMAT SOURCE data/own              # unless it is a LeRobotDataset already
astra train own-data --dataset data/own
astra report runs/own-data                        # predicted against demonstrated actions of held-out episodes

Where a simulator exists, `astra evaluate runs/own-data --suite MODULE:FUNCTION` measures success.
"""

from pathlib import Path

from astra.experiments.experiment import Experiment
from astra.experiments.pusht import small_policy, small_training


def own_data() -> Experiment:
    """Astra (small) on your own demonstrations: --dataset DIR.

    An update takes about 0.13 s of one core without cameras, and longer with them; the run prints an estimate of its
    time. `--training.updates` changes the length.
    """
    return Experiment(dataset=Path("data/own"), policy=small_policy(), training=small_training(10_000))
