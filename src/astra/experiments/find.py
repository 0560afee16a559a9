"""Experiments by their names: those of this package, and MODULE:FUNCTION for those of other packages."""

import importlib
import os
import sys

from astra.experiments import EXPERIMENTS
from astra.experiments.experiment import Experiment


def find_experiment(name: str) -> Experiment:
    """Make an experiment.

    Args:
        name: Name in `astra.experiments.EXPERIMENTS`, or MODULE:FUNCTION, of which the module may lie in the current
            directory. The function returns an `Experiment`.

    Raises:
        ValueError: if there is no such experiment.
    """
    module, colon, function = name.partition(":")
    if not colon:
        return EXPERIMENTS[name].make()
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())  # as `python -m` does; worker processes inherit it
    try:
        make = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError, ValueError) as error:  # ValueError: an empty name of a module
        raise ValueError(f"the experiment {name} cannot be imported ({error}); expected MODULE:FUNCTION") from error
    experiment = make() if callable(make) else make
    if not isinstance(experiment, Experiment):
        raise ValueError(f"{name} is a {type(experiment).__name__}; expected a function that returns an Experiment")
    return experiment
