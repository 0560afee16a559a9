"""Contrastive dynamics learning on the tabletop's short tasks: beside behavior cloning, and as pretraining.

All take the data of `tabletop-short`; the comparison with what they lack is Table 4 (`astra compare table4`).
"""

from dataclasses import replace
from typing import Any

from astra.contrastive_dynamics.objective import ContrastiveConfig
from astra.experiments.experiment import Experiment
from astra.experiments.tabletop import tabletop_short

PRETRAINING = "runs/tabletop-pretraining"


def tabletop_contrastive() -> Experiment:
    """As tabletop-short, by behavior cloning and contrastive dynamics learning.

    An update costs about twice as much, so that its 5,000 take about twice as long.
    """
    return _short(contrastive=ContrastiveConfig())


def tabletop_pretraining() -> Experiment:
    """The encoder of tabletop-short, by contrastive dynamics learning alone; it acts by chance.

    Source: appendix A.11, which suggests it and does not try it. `tabletop-pretrained` goes on from it.
    """
    return _short(contrastive=ContrastiveConfig(cdl_fraction=1.0, contrastive_only=True))


def tabletop_pretrained() -> Experiment:
    """As tabletop-short, from the encoder of tabletop-pretraining.

    astra train tabletop-pretraining
    astra train tabletop-pretrained
    """
    return _short(init_from=PRETRAINING)


def _short(**training: Any) -> Experiment:
    """Change the training of tabletop-short."""
    experiment = tabletop_short()
    return replace(experiment, training=replace(experiment.training, **training))
