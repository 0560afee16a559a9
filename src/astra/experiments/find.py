"""Experiments by their names: those of this package, and MODULE:FUNCTION for those of other packages."""

from astra.experiments import EXPERIMENTS
from astra.experiments.experiment import Experiment
from astra.lazy_function import import_from_here, made_by


def find_experiment(name: str) -> Experiment:
    """Make an experiment.

    Args:
        name: Name in `astra.experiments.EXPERIMENTS`, or MODULE:FUNCTION, of which the module may lie in the current
            directory. The function returns an `Experiment`.

    Raises:
        ValueError: if there is no such experiment.
    """
    if ":" not in name:
        return EXPERIMENTS[name].make()
    import_from_here()
    return made_by(name, Experiment, "experiment")
